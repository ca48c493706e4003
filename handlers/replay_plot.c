/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The replay as a picture: demand as an area, servers as a line, actions as ticks below.
 * A column of pixels stands for as many minutes as there have to be, by their highest
 * demand and lowest and highest supply, so that no shortage is averaged away. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/stamp.h"
#include "scale_replay.h"

#define WIDTH 960
#define HEIGHT 300
#define LEFT 44
#define TOP 40
#define EVENTS 26 /* the strip of actions below the plot */

struct column {
	int64_t demand, lowest, highest; /* servers */
	bool up, down;
};

struct picture {
	FILE *file;
	const struct replay_row *rows;
	size_t n;
	size_t columns;
	int64_t most; /* servers, the top of the scale */
};

static struct column column_of(const struct picture *picture, size_t x)
{
	size_t from = x * picture->n / picture->columns;
	size_t to = (x + 1) * picture->n / picture->columns;
	struct column column = {.lowest = INT64_MAX};

	for (size_t i = from; i < to; i++) {
		const struct replay_row *row = &picture->rows[i];

		if (row->demand > column.demand)
			column.demand = row->demand;
		if (row->ready < column.lowest)
			column.lowest = row->ready;
		if (row->ready > column.highest)
			column.highest = row->ready;
		column.up |= row->desired > row->total;
		column.down |= row->desired < row->total;
	}
	return column;
}

static double y_of(const struct picture *picture, int64_t servers)
{
	return TOP + HEIGHT - (double)servers * HEIGHT / (double)picture->most;
}

static double x_of(const struct picture *picture, size_t column)
{
	return LEFT + (double)column * WIDTH / (double)picture->columns;
}

static void draw_scale(const struct picture *picture)
{
	int64_t step = picture->most > 100 ? 20 : picture->most > 40 ? 10 : 5;
	char when[CS_WALL_TEXT_SIZE];

	for (int64_t i = 0; i <= picture->most; i += step)
		fprintf(picture->file,
			"<path class=\"grid\" d=\"M%d %.1fh%d\"/>"
			"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%" PRId64
			"</text>\n",
			LEFT, y_of(picture, i), WIDTH, LEFT - 6, y_of(picture, i) + 4, i);
	for (size_t i = 0; i <= 4; i++) {
		size_t at = i < 4 ? i * picture->n / 4 : picture->n - 1;

		cs_wall_format(picture->rows[at].minute * 60 * CS_MS_PER_S, when);
		when[10] = ' ';
		when[16] = '\0';
		fprintf(picture->file,
			"<text x=\"%zu\" y=\"%d\" text-anchor=\"%s\">%s</text>\n",
			LEFT + i * WIDTH / 4, TOP + HEIGHT + EVENTS + 16,
			i == 0	 ? "start"
			: i == 4 ? "end"
				 : "middle",
			when);
	}
}

static void draw_demand(const struct picture *picture)
{
	fprintf(picture->file, "<path class=\"demand\" d=\"M%d %d", LEFT, TOP + HEIGHT);
	for (size_t x = 0; x < picture->columns; x++)
		fprintf(picture->file, "V%.1fH%.1f",
			y_of(picture, column_of(picture, x).demand),
			x_of(picture, x + 1));
	fprintf(picture->file, "V%dZ\"/>\n", TOP + HEIGHT);
}

/* Highest and lowest as one band. */
static void draw_supply(const struct picture *picture)
{
	fprintf(picture->file, "<path class=\"supply\" d=\"M%.1f %.1f", x_of(picture, 0),
		y_of(picture, column_of(picture, 0).highest));
	for (size_t x = 0; x < picture->columns; x++)
		fprintf(picture->file, "V%.1fH%.1f",
			y_of(picture, column_of(picture, x).highest),
			x_of(picture, x + 1));
	for (size_t x = picture->columns; x-- > 0;)
		fprintf(picture->file, "V%.1fH%.1f",
			y_of(picture, column_of(picture, x).lowest), x_of(picture, x));
	fputs("Z\"/>\n", picture->file);
}

static void draw_actions(const struct picture *picture, bool up)
{
	int y = TOP + HEIGHT + (up ? 4 : 15);

	fprintf(picture->file, "<path class=\"%s\" d=\"", up ? "up" : "down");
	for (size_t x = 0; x < picture->columns; x++) {
		struct column column = column_of(picture, x);

		if (up ? column.up : column.down)
			fprintf(picture->file, "M%.1f %dv9", x_of(picture, x), y);
	}
	fputs("\"/>\n", picture->file);
}

static void draw(const struct picture *picture)
{
	fprintf(picture->file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<style>.grid{stroke:#ddd;fill:none}.demand{fill:#9ecae1}"
		".supply{stroke:#d94801;fill:#d94801;fill-opacity:.25}"
		".up{stroke:#d94801;fill:none}.down{stroke:#41ab5d;fill:none}"
		"text{fill:#333}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
		"<text x=\"%d\" y=\"22\">Servers: <tspan fill=\"#3182bd\">needed"
		"</tspan>, <tspan fill=\"#d94801\">ready</tspan>; below: "
		"<tspan fill=\"#d94801\">more</tspan> and <tspan fill=\"#238b45\">"
		"fewer</tspan> asked for</text>\n",
		LEFT + WIDTH + 16, TOP + HEIGHT + EVENTS + 28, LEFT);
	draw_scale(picture);
	draw_demand(picture);
	draw_supply(picture);
	draw_actions(picture, true);
	draw_actions(picture, false);
	fputs("</svg>\n", picture->file);
}

int replay_plot(
	const char *path, const struct replay_row *rows, size_t n, struct cs_error *err)
{
	struct picture picture = {.file = fopen(path, "we"),
		.rows = rows,
		.n = n,
		.columns = n < WIDTH ? n : WIDTH,
		.most = 5};

	if (!picture.file)
		return cs_error_set_errno(err, errno, "cannot write %s", path);
	for (size_t i = 0; i < n; i++) {
		if (rows[i].ready > picture.most)
			picture.most = rows[i].ready;
		if (rows[i].demand > picture.most)
			picture.most = rows[i].demand;
	}
	draw(&picture);
	bool failed = ferror(picture.file);
	if (fclose(picture.file) != 0 || failed)
		return cs_error_set_errno(err, errno, "cannot write %s", path);
	return 0;
}
