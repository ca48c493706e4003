# SPDX-License-Identifier: GPL-3.0-or-later
"""Many servers in a moment: rows of one that Nova built are copied in its databases. Nova lists them as any other; there is
nothing behind them, so they go by the same way."""
import contextlib

from services import sql

# Where Nova keeps what a list shows of a server, and the column that names the server.
TABLES = {"nova.instances": "uuid", "nova.instance_extra": "instance_uuid", "nova.instance_info_caches": "instance_uuid",
          "nova.instance_system_metadata": "instance_uuid", "nova.instance_metadata": "instance_uuid",
          "nova.tags": "resource_id", "nova_api.instance_mappings": "instance_uuid"}
PREFIX = 24  # characters of a copy's id that it has of its original


def columns(place, table):
    schema, name = table.split(".")
    return sql(place, "SELECT column_name FROM information_schema.columns WHERE extra NOT LIKE '%GENERATED%' AND "
               f"table_schema = '{schema}' AND table_name = '{name}'").split()[1:]


@contextlib.contextmanager
def copies_of(place, id, count):
    new_id = f"CONCAT('{id[:PREFIX]}', LPAD(HEX(seq), 12, '0'))"
    try:
        for table, key in TABLES.items():
            kept = [name for name in columns(place, table) if name != "id" or table == "nova.tags"]
            values = [new_id if name == key else f"`{name}`" for name in kept]
            sql(place, f"INSERT INTO {table} ({', '.join(f'`{name}`' for name in kept)}) SELECT {', '.join(values)} FROM "
                f"{table} JOIN nova.seq_1_to_{count} WHERE {key} = '{id}'")
        yield
    finally:
        for table, key in reversed(TABLES.items()):  # nova.instances last, the others refer to it
            sql(place, f"DELETE FROM {table} WHERE {key} LIKE '{id[:PREFIX]}%' AND {key} <> '{id}'")
