// Starts `microseg lsp` for policy files, and stops it.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = () => {
  const [command, ...args] = workspace.getConfiguration("microseg").get("command");
  const watcher = workspace.createFileSystemWatcher("**/*.{mseg,netset}");
  const options = { documentSelector: [{ language: "mseg", scheme: "file" }], synchronize: { fileEvents: watcher } };
  client = new LanguageClient("microseg", "microseg", { command, args }, options);
  return client.start();
};

exports.deactivate = () => client?.stop();
