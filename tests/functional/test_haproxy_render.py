# SPDX-License-Identifier: GPL-3.0-or-later
"""What haproxy_sync makes of templates and options, and what HAProxy makes of that."""
import pathlib

import pytest

pytest.register_assert_rewrite("balancer")
import balancer  # noqa: E402
from balancer import expect, lb  # noqa: E402, F401 (a fixture)

OPTIONS = '"maxconn 512 check inter 100ms fall 5 rise 2"'


def set_options(lb, options):
    lb.yaml.write_text(lb.yaml.read_text().replace(OPTIONS, f'"{options}"'))


def refused(lb, message):
    before = lb.config.read_bytes()
    expect(lb.sync(), 3, stderr=f"haproxy_sync: {message}\n")
    assert lb.config.read_bytes() == before


def test_each_server_has_its_own_options(lb):
    """The zone is anything that the cloud says; it must not become more than a word."""
    set_options(lb, "check weight {weight} cookie {name}.{zone} addr {address} error-limit 10")
    lb.template.write_text(lb.template.read_text().replace(
        "backend web\n", "backend web\n    cookie SRV insert\n"))
    one = lb.add("web1")
    two = lb.add("web2", flavor="m1.large", zone="az 2\n    http-request redirect location http://evil/ #")
    three = lb.add("web3", serve=False, addresses={"private": ["::1"]}, zone="")
    lb.webs[three.id] = balancer.Web("::1", lb.service_port)
    lb.config.write_bytes(lb.template.read_bytes())
    lb.start()
    expect(lb.sync(), 0, lb.report([one, two, three]))
    zone = "az_2_____http-request_redirect_location_http___evil___"
    port = lb.service_port
    assert lb.config.read_text() == lb.template.read_text() + (
        f"    server web1 {lb.address(one)}:{port} check weight 1 cookie web1.nova addr {lb.address(one)} error-limit 10\n"
        f"    server web2 {lb.address(two)}:{port} check weight 4 cookie web2.{zone} addr {lb.address(two)} error-limit 10\n"
        f"    server web3 [::1]:{port} check weight 1 cookie web3.unknown addr [::1] error-limit 10\n")
    assert {name: row["weight"] for name, row in lb.rows().items()} == {"web1": "1", "web2": "4", "web3": "1"}


def test_a_cluster_that_cannot_be_listed_keeps_its_options(lb):
    """They come out of the list, and must not change because there is none."""
    set_options(lb, "check weight {weight} cookie {id}-{zone}")
    more = lb.yaml.read_text().split("  web:\n")[1].replace("backend: web", "backend: api").replace("reader", "other")
    lb.yaml.write_text(lb.yaml.read_text() + "  api:\n" + more)
    clouds = lb.dir / "clouds.yaml"
    clouds.write_text(clouds.read_text() + clouds.read_text().removeprefix("clouds:\n").replace("reader:", "other:", 1))
    lb.template.write_text(lb.template.read_text() + "backend api\n    # clusterscale: servers api\n")
    lb.config.write_bytes(lb.template.read_bytes())
    web, api = lb.add("web1"), lb.add("api1", cluster="api", flavor="m1.large", zone="az2")
    lb.start()
    expect(lb.sync(), 0, lb.report([web]))
    line = f"    server api1 {lb.address(api)}:{lb.service_port} check weight 4 cookie {api.id}-az2\n"
    assert line in lb.config.read_text()
    clouds.write_text(clouds.read_text().replace("other:", "gone:"))
    text, worker = lb.config.read_text(), lb.workers()[0]
    assert lb.sync().returncode == 0
    assert (lb.config.read_text(), lb.workers()[0]) == (text, worker)


FOREIGN = {
    "carriage returns": lambda text: text.replace(b"\n", b"\r\n"),
    "tabs": lambda text: text.replace(b"    ", b"\t"),
    "no last newline": lambda text: text.removesuffix(b"\n"),
    "a long line": lambda text: text.replace(b"frontend", b"# " + b"x" * 200_000 + b"\nfrontend"),
    "bytes that are no text": lambda text: text.replace(b"frontend", b"# \x80\xff\x01\x1b[31m\nfrontend"),
    "no indentation": lambda text: text.replace(b"    #", b"#"),
    "blank lines and blanks": lambda text: text.replace(b"frontend", b" \t \n\n\nfrontend") + b"   \n\n",
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN.keys())
def test_foreign_lines_are_kept_byte_for_byte(lb, change):
    template = change(lb.template.read_bytes())
    lb.template.write_bytes(template)
    one = lb.add("web1")
    lb.start()
    expect(lb.sync(), 0, lb.report([one]))
    rendered = lb.config.read_bytes()
    lines = [line for line in rendered.splitlines(keepends=True) if line.lstrip().startswith(b"server web1 ")]
    assert len(lines) == 1
    if not template.endswith(b"\n"):
        template += b"\n"
    assert rendered.replace(lines[0], b"") == template
    assert "200 OK" in lb.get()


def test_templates_that_haproxy_would_not_understand(lb):
    lb.add("web1")
    lb.start()
    good = lb.template.read_bytes()
    lb.template.write_bytes(good + b"\0")
    refused(lb, f"{lb.template}: the template has a NUL byte")
    lb.template.write_bytes(b"\xef\xbb\xbf" + good)
    refused(lb, f"{lb.template}: the template begins with a byte order mark, which HAProxy does not understand; save it "
            "without")
    lb.template.write_bytes(b"")
    refused(lb, f"{lb.template}: the template is empty")
    lb.template.write_bytes(good.replace(b"timeout client 30s", b"timeout client ${LIMIT}"))
    refused(lb, f"{lb.template}:9: ${{LIMIT}}: nothing in the file sets it, and the running HAProxy takes an unset variable "
            "for an empty text; write the value, or 'presetenv LIMIT VALUE' in global")
    lb.template.write_bytes(good.replace(b"# clusterscale: servers", b"# clusterscale: server"))
    refused(lb, f"{lb.template}:17: '# clusterscale: server web' looks like a marker but is none; one is a line of its own: "
            "'# clusterscale: servers NAME', or '# clusterscale: backend NAME' for the whole section")


def test_a_whole_section_is_written(lb):
    template = lb.template.read_text().replace(
        "backend web\n    balance roundrobin\n    # clusterscale: servers web\n",
        "# clusterscale: backend web\n    balance leastconn\nlisten other\n    bind 127.0.0.1:{port}\n".format(port=balancer.procs.free_port()))
    lb.template.write_text(template)
    lb.config.write_text(template.replace("# clusterscale", "backend web\n# clusterscale"))
    one = lb.add("web1")
    lb.start()
    expect(lb.sync(), 0, lb.report([one]))
    marker = "# clusterscale: backend web\n"
    assert lb.config.read_text() == template.replace(marker, marker + "backend web\n" + lb.line(one)[2:])
    assert "200 OK" in lb.get()


def test_two_lines_of_one_address_are_refused(lb):
    one = lb.add("web1")
    lb.start()
    expect(lb.sync(), 0, lb.report([one]))
    lb.add("web2", serve=False, addresses={"private": [lb.address(one)]})
    refused(lb, f"cluster 'web': servers 'web1' and 'web2' have the same address {lb.address(one)}:{lb.service_port}")


def test_a_line_of_the_template_with_the_address_of_a_server_is_refused(lb):
    one = lb.add("web1")
    with lb.template.open("a") as file:
        file.write(f"    server old {lb.address(one)}:{lb.service_port} check\n")
    lb.config.write_bytes(lb.template.read_bytes())
    lb.start()
    refused(lb, f"{lb.template}:18: server 'old' has the address {lb.address(one)}:{lb.service_port}, which is that of "
            "'web1' of cluster 'web'; take the line out of the template")


def test_options_are_checked_before_anything_else(lb):
    """haproxy -c says nothing to any of these."""
    number = next(i for i, line in enumerate(lb.yaml.read_text().splitlines(), 1) if "options:" in line)
    for options, why in {
            "maxconn abc": "expected a number from 0 to 2147483647 behind 'maxconn', found 'abc', which HAProxy would take "
                           "for another one and say nothing",
            "check {foo}": "expected {name}, {id}, {address}, {zone}, {weight} and no other braces, found 'check {foo}'",
            "check cookie x": "expected a cookie that tells servers apart, such as 'cookie {name}', found 'cookie x' for all "
                              "of them",
            "maxconn ${MAX}": "expected plain words without quotes, '#', '$' and '\\', found 'maxconn ${MAX}'"}.items():
        good = lb.yaml.read_text()
        set_options(lb, options)
        refused(lb, f"{lb.yaml}:{number}: key 'clusters.web.haproxy.server.options': {why}")
        lb.yaml.write_text(good)


CHECKER = """\
#!/bin/sh
echo "$*" >>{calls}
echo $$ >>{calls}.pids
exec haproxy "$@"
"""


def test_haproxy_waits_for_what_it_is_to_check(lb):
    """It starts while the cloud is asked. What it accepts it is not asked again, its no is heard twice, and none is left."""
    calls, program = lb.dir / "calls", lb.dir / "checker"
    program.write_text(CHECKER.format(calls=calls))
    program.chmod(0o755)
    lb.yaml.write_text(lb.yaml.read_text().replace("      backend: web\n", f"      backend: web\n      program: {program}\n"))
    early, late = "-c -f /dev/stdin", f"-c -f {lb.config}.clusterscale-candidate"

    def asked(code):
        calls.unlink(missing_ok=True)
        assert lb.sync().returncode == code
        for pid in (lb.dir / "calls.pids").read_text().split():
            assert not pathlib.Path("/proc", pid).exists()
        return calls.read_text().splitlines()
    lb.add("web1")
    lb.start()
    assert asked(0) == [early]
    assert asked(0) == [early]  # nothing to check
    lb.template.write_text(lb.template.read_text().replace("timeout connect", "timeout nothing"))
    assert asked(3) == [early, late]
