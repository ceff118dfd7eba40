"""The smallest real web application: a page, a form, a JSON endpoint."""

import os

from flask import Flask, jsonify, request
from markupsafe import escape

app = Flask(__name__)


@app.get("/")
def index():
    name = request.args.get("name", "world")
    return f"<!doctype html><title>Hello</title><h1>Hello, {escape(name)}!</h1>"


@app.post("/notes")
def notes():
    text = request.get_json(silent=True) or request.form.to_dict()
    return jsonify(received=text)


@app.get("/healthz")
def healthz():
    return "ok"


@app.get("/release")
def release():
    return os.environ.get("HOP3_RELEASE", "unknown")
