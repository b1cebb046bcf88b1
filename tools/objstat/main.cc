// objstat: what a plasma_store holds, who holds it, and a ledger that adds up. Reads shared memory only, so it answers
// also when the daemon hangs or is dead. Exit codes: 0 fine, 1 failed or does not add up, 2 usage, 3 not running.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tools/objstat/json.h"
#include "tools/objstat/screen.h"
#include "tools/objstat/snapshot.h"

namespace {
constexpr int kFine = 0, kFailed = 1, kUsage = 2, kNotRunning = 3, kNotAllowed = 4;
}  // namespace

int main(int argc, char** argv) {
  using raylet::ErrorCode;
  CLI::App app("Shows what a plasma_store holds: sizes, pins, clients, and a ledger that adds up.", "objstat");
  std::string socket;
  bool as_json = false;
  app.add_option("-s,--socket", socket, "the store's socket")->envname("PLASMA_STORE_SOCKET");
  app.add_flag("--json", as_json, "print JSON");
  app.set_version_flag("--version", std::string("objstat ") + RAYLET_VERSION);
  app.require_subcommand(0, 1);
  app.fallthrough();
  const auto* const list = app.add_subcommand("ls", "one line for each object");
  const auto* const clients = app.add_subcommand("clients", "one line for each connected process");
  app.footer("Exit codes: 0 fine, 1 failed or the ledger does not add up, 2 usage, 3 no store there, 4 not allowed.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kFine : kUsage;
  }
  if (socket.empty()) {
    std::fputs("objstat: which store? Say -s SOCKET, or set PLASMA_STORE_SOCKET\n", stderr);
    return kUsage;
  }

  const auto snapshot = raylet::objstat::TakeSnapshot(socket);
  if (!snapshot) {
    std::fprintf(stderr, "objstat: %s\n", snapshot.error().message.c_str());
    if (snapshot.error().code == ErrorCode::kNotRunning) return kNotRunning;
    return snapshot.error().code == ErrorCode::kNotAllowed ? kNotAllowed : kFailed;
  }
  const raylet::objstat::Look look{::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr};
  std::string text;
  if (*list)
    text = as_json ? ObjectsJson(*snapshot) : ObjectList(*snapshot, look);
  else if (*clients)
    text = as_json ? ClientsJson(*snapshot) : ClientList(*snapshot, look);
  else
    text = as_json ? DefaultJson(*snapshot) : DefaultScreen(*snapshot, look);
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) return kFailed;
  const bool shows_ledger = !*list && !*clients;
  return shows_ledger && !snapshot->ledger.AddsUp() ? kFailed : kFine;
}
