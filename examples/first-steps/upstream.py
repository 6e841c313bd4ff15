"""Plays Brave Search on loopback and checks the credential. Its key is only-for-trying."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit


class Search(BaseHTTPRequestHandler):
    def do_GET(self):
        is_known = self.headers["X-Subscription-Token"] == "only-for-trying"
        query = parse_qs(urlsplit(self.path).query)["q"][0]
        page = {"title": f"About {query}", "url": "https://example.com/", "description": "A page."}
        body = json.dumps({"web": {"results": [page]}} if is_known else {}).encode()
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


HTTPServer(("127.0.0.1", 8199), Search).serve_forever()
