# SPDX-License-Identifier: GPL-3.0-or-later
"""A HAProxy of any version as far as its sockets go: a model of one backend behind a stats and a master socket.

The replies are those that were measured of 2.4, 2.6, 2.8, 3.0 and 3.2; what a version does not have it refuses in its
words. Every command is kept in `commands`. What may crash HAProxy or lose a request is noted in `crashed`: `del server`
before 3.0, and a server that is balanced before its first check.
"""
import re
import socketserver
import threading

COLUMNS = "# pxname,svname,qcur,scur,weight,status,type,addr,\n"
STATE_HEAD = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n"
STATE_ROW = "3 {backend} {id} {name} {host} {op} {admin} 1 1 1 6 3 4 6 0 0 0 - {port} - 0 0 - - 0\n"
EXPERIMENTAL = "This command is restricted to experimental mode only.\n"
SILENT = ""


class Server:
    def __init__(self, name, endpoint, options, status="UP"):
        self.name, self.endpoint, self.options, self.status = name, endpoint, options, status
        self.weight, self.sessions, self.checked, self.idle_connections = 1, 0, True, 0


class FakeHAProxy:
    def __init__(self, config, stats, master, version, state_file=None):
        self.config, self.version_text, self.state_file = config, version, state_file
        self.version = tuple(int(part) for part in re.match(r"(\d+)\.(\d+)", version).groups())
        self.commands, self.crashed, self.pid, self.reloads, self.failed = [], None, 1000, -1, 0
        self.bad_reload = None  # what the log of a reload says that fails
        self.nbproc = 1  # workers at a time, of which the sockets reach the first
        self.servers, self.backend = {}, None
        self.load()
        self.listeners = [self._listen(stats, self.stats_command), self._listen(master, self.master_command)]

    def _listen(self, path, answer):
        class Handler(socketserver.StreamRequestHandler):
            def handle(handler):
                line = handler.rfile.readline().decode().rstrip("\n")
                handler.wfile.write("".join(answer(part.strip()) + "\n" for part in line.split(";")).encode())

        listener = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        path.chmod(0o777)
        threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        return listener

    def end(self):
        for listener in self.listeners:
            listener.shutdown()
            listener.server_close()

    # --- what a reload and time do

    def load(self):
        text = self.config.read_text()
        self.backend = re.search(r"^backend (\S+)", text, re.M).group(1)
        down = set()
        if self.state_file and self.state_file.exists():
            down = {row.split()[3] for row in self.state_file.read_text().splitlines()[2:] if row.split()[5] == "0"}
        self.servers = {name: Server(name, endpoint, options, "DOWN" if name in down else "UP")
                        for name, endpoint, options in re.findall(r"^ +server (\S+) (\S+) ?(.*)$", text, re.M)}
        self.pid += 1
        self.reloads += 1

    def health_checks(self):
        """All of them were good."""
        for server in self.servers.values():
            if server.status == "DOWN" and server.checked:
                server.status = "UP"

    # --- the stats socket

    def stats_command(self, command):
        self.commands.append(command)
        words = command.split()
        name = "_".join(words[:2])
        handler = getattr(self, f"_{name}", None)
        return handler(words) if handler else "Unknown command.\n"

    def _show_info(self, words):
        return f"Name: HAProxy\nVersion: {self.version_text}\nNbthread: 2\nPid: {self.pid}\nUptime_sec: 9\n"

    def _show_stat(self, words):
        return COLUMNS + "".join(f"{self.backend},{s.name},0,{s.sessions},{s.weight},{s.status},2,{s.endpoint},\n"
                                 for s in self.servers.values())

    def _show_servers(self, words):
        return STATE_HEAD + "".join(
            STATE_ROW.format(backend=self.backend, id=i, name=s.name, host=s.endpoint.rsplit(":", 1)[0],
                             port=s.endpoint.rsplit(":", 1)[1], op=2 if s.status == "UP" else 0,
                             admin=1 if s.status == "MAINT" else 0)
            for i, s in enumerate(self.servers.values(), 1))

    def _find(self, text):
        backend, name = text.split("/")
        return self.servers.get(name) if backend == self.backend else None

    def _add_server(self, words):
        backend, name = words[2].split("/")
        options = words[4:]
        if self.version < (2, 5):
            return EXPERIMENTAL
        if backend != self.backend:
            return "No such backend.\n"
        if name in self.servers:
            return "Already exists a server with the same name in backend.\n"
        refused = {"cookie"} if self.version < (3, 0) else {"enabled"}
        refused |= {"init-state"} if self.version < (3, 1) else set()
        for option in options:
            if option in refused:
                return f"'{option}' option is not accepted for dynamic server\n"
        server = Server(name, words[3], " ".join(options), "MAINT")
        server.checked = False
        self.servers[name] = server
        return "New server registered.\n"

    def _enable_health(self, words):
        server = self._find(words[2])
        if not server:
            return "No such server.\n"
        server.checked = "check" in server.options.split()
        return SILENT

    def _enable_server(self, words):
        server = self._find(words[2])
        if not server:
            return "No such server.\n"
        server.status = "UP"  # before its first check, as HAProxy has it
        return SILENT

    def _set_server(self, words):
        server = self._find(words[2])
        if not server:
            return "No such server.\n"
        if words[3] == "state":
            server.status = {"drain": "DRAIN", "maint": "MAINT", "ready": "UP"}[words[4]]
        elif words[3] == "health":
            server.status = words[4].upper()
        elif words[3] == "weight":
            server.weight = 1 if words[4] == "100%" else int(words[4])
        if server.status == "UP" and server.weight and "check" in server.options.split() and words[3] == "weight":
            self.crashed = f"{server.name} gets requests before its first check"
        return SILENT

    def _wait_10s(self, words):
        if self.version < (3, 0):
            return "Unknown command.\n"
        server = self._find(words[3])
        return "Failed.\n" if server.idle_connections else "Done.\n"

    def _del_server(self, words):
        if self.version < (3, 0):
            self.crashed = "del server crashes HAProxy before 3.0"
            return "Server deleted.\n"
        server = self._find(words[2])
        if not server:
            return "No such server.\n"
        if server.status != "MAINT":
            return "Only servers in maintenance mode can be deleted.\n"
        if server.idle_connections:
            return "Server still has connections attached to it, cannot remove it.\n"
        del self.servers[server.name]
        return "Server deleted.\n"

    # --- the master socket

    def master_command(self, command):
        self.commands.append(command)
        if command == "show proc":
            return self.show_proc()
        if command == f"@!{self.pid + 1} show stat" and self.nbproc > 1:
            return self._show_stat(["show", "stat"]).replace("DRAIN", "UP").replace("MAINT", "UP")
        if command == "reload":
            return self.reload()
        return "Unknown command.\n"

    def reload(self):
        if self.bad_reload:
            self.failed += 1
        else:
            self.load()
            self.failed = 0
        if self.version < (2, 7):
            return SILENT
        return f"Success=0\n--\n{self.bad_reload}\n" if self.bad_reload else "Success=1\n--\n"

    def show_proc(self):
        if self.version < (2, 5):
            return ("#<PID> <type> <relative PID> <reloads> <uptime> <version>\n"
                    f"1000 master 0 {self.reloads} 0d00h00m03s {self.version_text}\n# workers\n"
                    + (f"# old workers\n{self.pid} worker 1 1 0d00h00m01s {self.version_text}\n" if self.failed else
                       "".join(f"{self.pid + i} worker {1 + i} 0 0d00h00m01s {self.version_text}\n"
                               for i in range(self.nbproc)))
                    + "# programs\n")
        return ("#<PID> <type> <reloads> <uptime> <version>\n"
                f"1000 master {self.reloads} [failed: {self.failed}] 0d00h00m03s {self.version_text}\n"
                f"# workers\n{self.pid} worker 0 0d00h00m01s {self.version_text}\n# programs\n")
