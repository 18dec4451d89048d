"""Serves the digit classifier with TensorFlow Serving's REST API.

GET  /v1/models/digits            is the model loaded?
POST /v1/models/digits:predict    {"instances": [[64 numbers 0..16], ...]} -> {"predictions": [digit, ...]}

SLUICE_MODEL is the folder of the verified model, PORT the port to listen on.
"""
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

FOLDER = os.environ["SLUICE_MODEL"]
W1, B1, W2, B2 = (np.load(os.path.join(FOLDER, name + ".npy")) for name in ("w1", "b1", "w2", "b2"))
GREETING = "digits"
BODY_MAX = 1 << 20


def predict(instances):
    x = np.asarray(instances, dtype=np.float32) / 16.0
    if x.ndim != 2 or x.shape[1] != W1.shape[0]:
        raise ValueError(f"instances must be lists of {W1.shape[0]} numbers")
    return np.argmax(np.maximum(x @ W1 + B1, 0.0) @ W2 + B2, axis=1).tolist()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Server-Name", GREETING)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path != "/v1/models/digits":
            return self.answer(404, {"error": "not found"})
        self.answer(200, {"model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]})

    def do_POST(self):
        if self.path != "/v1/models/digits:predict":
            return self.answer(404, {"error": "not found"})
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 < length <= BODY_MAX:
                raise ValueError("body of 1 byte to 1 MiB expected")
            self.answer(200, {"predictions": predict(json.loads(self.rfile.read(length))["instances"])})
        except (ValueError, KeyError, TypeError) as error:
            self.answer(400, {"error": str(error)})

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
