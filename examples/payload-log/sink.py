"""A sink of CloudEvents over HTTP that prints a line for each: `python sink.py PORT`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        event = {name[3:]: value for name, value in self.headers.items() if name.startswith("ce-")}
        if self.headers["content-type"].startswith("application/json") and "bodycut" not in event:
            event["data"] = json.loads(body)
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
        # Any 2xx: the event is taken. It is not sent again whatever the answer is.
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
