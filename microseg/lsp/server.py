"""The features of the server, each a question to a directory's snapshot.

Documents are sent whole at each change: policy files are small, and the protocol and we count lines otherwise
than Python does.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from microseg.editing.completion import candidates
from microseg.editing.snapshot import RenameError
from microseg.lsp import shapes
from microseg.lsp.directory import Directory
from microseg.lsp.places import Ruler, path_of, policy_directory, uri_of

if TYPE_CHECKING:
    from pathlib import Path

    from microseg.analysis.taste import Taste
    from microseg.editing.symbols import Occurrence

QUIET_S = 0.15
"""Pause in the typing after which the directory is checked."""


class PolicyServer(LanguageServer):
    """A language server for policy directories."""

    def __init__(self, version: str, taste: Taste) -> None:
        super().__init__("microseg", version, text_document_sync_kind=types.TextDocumentSyncKind.Full)
        self._taste = taste
        self._directories: dict[Path, Directory] = {}
        self._checks: dict[Path, asyncio.Task[None]] = {}
        self._waiting: set[Path] = set()

    def find(self, uri: str) -> tuple[Directory, Path] | None:
        """Return the directory and the file of a document; None when it isn't a file."""
        file = path_of(uri)
        if file is None:
            return None
        folders = [path for folder in self.workspace.folders if (path := path_of(folder))]
        root = policy_directory(file, folders)
        return self._directories.setdefault(root, Directory(root, self._taste)), file

    def ruler(self, directory: Directory) -> Ruler:
        """Return what measures the directory's texts in the client's units."""
        return Ruler(directory.snapshot().parsed.texts, self.workspace.position_encoding or "utf-16")

    def occurrence(self, uri: str, position: types.Position) -> tuple[Directory, Occurrence] | None:
        """Return the name at a position."""
        found = self.find(uri)
        if found is None:
            return None
        directory, file = found
        path = directory.path_of(file)
        occurrence = directory.snapshot().at(path, *self.ruler(directory).place(path, position))
        return (directory, occurrence) if occurrence else None

    def take(self, uri: str) -> None:
        """Take the text of a document as the editor has it, and check its directory."""
        found = self.find(uri)
        if found:
            directory, file = found
            directory.open(file, self.workspace.get_text_document(uri).source)
            self.check(directory)

    def check(self, directory: Directory) -> None:
        """Check a directory soon; what changes meanwhile is checked again after."""
        self._waiting.add(directory.root)
        running = self._checks.get(directory.root)
        if running is None or running.done():
            self._checks[directory.root] = asyncio.get_running_loop().create_task(self._check(directory))

    async def _check(self, directory: Directory) -> None:
        while directory.root in self._waiting:
            self._waiting.discard(directory.root)
            await asyncio.sleep(QUIET_S)
            if directory.root in self._waiting:
                continue
            findings = await asyncio.to_thread(directory.findings, directory.tree())
            if directory.root in self._waiting:
                continue
            ruler = Ruler(findings.texts, self.workspace.position_encoding or "utf-16")
            by_path: dict[str, list[types.Diagnostic]] = {path: [] for path in directory.published}
            for each in findings.diagnostics:
                shown = shapes.diagnostic(each, directory.root, ruler)
                by_path.setdefault(each.span.path, []).append(shown)
            for path, shown_there in by_path.items():
                uri = uri_of(directory.root / path)
                self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, shown_there))
            directory.published = {path for path, shown_there in by_path.items() if shown_there}


def make(version: str, taste: Taste) -> PolicyServer:
    """Return a server that waits for `start_io`."""
    server = PolicyServer(version, taste)
    _keep_up(server)
    _find(server)
    _complete(server)
    _change(server)
    return server


def serve(version: str, taste: Taste) -> None:
    """Serve on standard input and output until the editor says goodbye."""
    logging.disable(logging.WARNING)  # pygls is chatty, and editors show what it says as errors
    make(version, taste).start_io()


def _keep_up(server: PolicyServer) -> None:
    """Register what tells of changes."""

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        server.take(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        server.take(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        found = server.find(params.text_document.uri)
        if found:
            directory, file = found
            directory.close(file)
            server.check(directory)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        server.take(params.text_document.uri)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_watched_files(params: types.DidChangeWatchedFilesParams) -> None:
        for change in params.changes:
            found = server.find(change.uri)
            if found:
                found[0].look_again()
                server.check(found[0])


def _find(server: PolicyServer) -> None:
    """Register what asks about the name at a position."""

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        found = server.occurrence(params.text_document.uri, params.position)
        if found is None:
            return None
        directory, at = found
        text = directory.snapshot().hover(at.symbol)
        content = types.MarkupContent(types.MarkupKind.Markdown, text)
        return types.Hover(content, server.ruler(directory).range(at.span)) if text else None

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> list[types.Location]:
        found = server.occurrence(params.text_document.uri, params.position)
        if found is None:
            return []
        directory, at = found
        return _locations(server, directory, directory.snapshot().definitions(at.symbol))

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def references(params: types.ReferenceParams) -> list[types.Location]:
        found = server.occurrence(params.text_document.uri, params.position)
        if found is None:
            return []
        directory, at = found
        places = directory.snapshot().references(
            at.symbol, with_definitions=params.context.include_declaration
        )
        return _locations(server, directory, places)


def _complete(server: PolicyServer) -> None:
    """Register what asks what could be typed."""
    options = types.CompletionOptions(trigger_characters=[" ", "/", "("])

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, options)
    def completion(params: types.CompletionParams) -> list[types.CompletionItem]:
        found = server.find(params.text_document.uri)
        if found is None:
            return []
        directory, file = found
        before = server.ruler(directory).before(directory.path_of(file), params.position)
        return [shapes.completion(each) for each in candidates(directory.snapshot(), before)]


def _change(server: PolicyServer) -> None:
    """Register what answers with edits."""

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare_rename(params: types.PrepareRenameParams) -> types.Range | None:
        found = server.occurrence(params.text_document.uri, params.position)
        return server.ruler(found[0]).range(found[1].span) if found else None

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def rename(params: types.RenameParams) -> types.WorkspaceEdit | None:
        found = server.occurrence(params.text_document.uri, params.position)
        if found is None:
            return None
        directory, at = found
        try:
            edits = directory.snapshot().rename(at.symbol, params.new_name)
        except RenameError as error:
            raise JsonRpcInvalidParams(str(error)) from error
        ruler = server.ruler(directory)
        changes: dict[str, list[types.TextEdit]] = {}
        for edit in edits:
            there = changes.setdefault(uri_of(directory.root / edit.span.path), [])
            there.append(types.TextEdit(ruler.range(edit.span), edit.text))
        return types.WorkspaceEdit(changes)

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        found = server.find(params.text_document.uri)
        if found is None:
            return None
        directory, file = found
        path = directory.path_of(file)
        snapshot = directory.snapshot()
        text = snapshot.formatted(path)
        if text is None or text == snapshot.parsed.texts[path]:
            return None
        return [types.TextEdit(server.ruler(directory).whole(path), text)]


def _locations(server: PolicyServer, directory: Directory, places: list[Occurrence]) -> list[types.Location]:
    ruler = server.ruler(directory)
    return [shapes.location(each.span, directory.root, ruler) for each in places]
