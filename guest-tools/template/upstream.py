"""Plays the weather service on loopback, to try the tool. It requires the key, and returns the key
when it is asked for the weather of "Echo"."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "only-for-trying"


class Weather(BaseHTTPRequestHandler):
    def do_GET(self):
        city = parse_qs(urlsplit(self.path).query).get("city", [""])[0]
        is_known = self.headers["Authorization"] == f"Bearer {KEY}"
        sky = f"you sent {KEY}" if city == "Echo" else "clear"
        body = json.dumps({"temperature_c": 21, "sky": sky} if is_known else {}).encode()
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("127.0.0.1", 8199), Weather).serve_forever()
