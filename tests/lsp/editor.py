"""An editor for tests: speaks the protocol over pipes, with nothing but the standard library."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

PATIENCE_S = 60


class Editor:
    """A client of a real server in a process of its own."""

    def __init__(self, root: Path, *, encodings: list[str] | None = None) -> None:
        self.root = root
        program = Path(sys.executable).parent / "microseg"
        env = {"PATH": os.environ["PATH"], "HOME": str(root)}
        settings = root / "microseg.toml"
        words = ["--config", str(settings)] if settings.exists() else []
        self._process = subprocess.Popen(
            [program, "lsp", *words], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._arrived: queue.Queue[dict[str, Any]] = queue.Queue()
        self._findings: dict[str, list[Any]] = {}
        self._number = 0
        self._version = 0
        threading.Thread(target=self._listen, daemon=True).start()
        general = {"positionEncodings": encodings} if encodings else {}
        folders = [{"uri": root.as_uri(), "name": "test"}]
        asked = {"processId": os.getpid(), "rootUri": root.as_uri(), "workspaceFolders": folders}
        self.answer = self.ask("initialize", asked | {"capabilities": {"general": general}})
        self.tell("initialized", {})

    def close(self) -> int:
        """Say goodbye and return the exit code."""
        self.ask("shutdown", None)
        self.tell("exit", None)
        code = self._process.wait(PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        return code

    def open(self, name: str, text: str) -> str:
        uri = (self.root / name).as_uri()
        document = {"uri": uri, "languageId": "mseg", "version": 0, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def change(self, uri: str, text: str) -> None:
        self._version += 1
        document = {"uri": uri, "version": self._version}
        self.tell("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})

    def findings(self, uri: str) -> list[Any]:
        """Wait for the next findings of a document."""
        while True:
            message = self._next()
            if message.get("method") == "textDocument/publishDiagnostics":
                params = message["params"]
                if params["uri"] == uri:
                    return list(params["diagnostics"])

    def ask_at(self, method: str, uri: str, line: int, character: int, **more: Any) -> Any:
        position = {"line": line, "character": character}
        return self.ask(f"textDocument/{method}", {"textDocument": {"uri": uri}, "position": position} | more)

    def ask(self, method: str, params: Any) -> Any:
        """Ask, and return the answer; a refusal raises RuntimeError with its message."""
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method, "params": params})
        passed = []
        try:
            while True:
                message = self._next()
                if message.get("id") != number or "method" in message:
                    passed.append(message)
                elif "error" in message:
                    raise RuntimeError(message["error"]["message"])
                else:
                    return message["result"]
        finally:
            for each in passed:
                self._arrived.put(each)

    def tell(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0"} | message).encode()
        assert self._process.stdin
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _next(self) -> dict[str, Any]:
        return self._arrived.get(timeout=PATIENCE_S)

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream
        while line := stream.readline():
            length = int(line.partition(b":")[2])
            while stream.readline().strip():
                pass
            self._arrived.put(json.loads(stream.read(length)))
