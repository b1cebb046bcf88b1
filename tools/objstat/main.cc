// objstat: shows the objects of a plasma_store, the clients that hold them, and a ledger that adds up. Reads shared
// memory only, so it also answers when the daemon hangs or is dead. Exit codes: 0 fine, 1 failed or the ledger does not
// add up, 2 usage, 3 not running.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tools/objstat/json.h"
#include "tools/objstat/screen.h"
#include "tools/objstat/snapshot.h"

namespace {
constexpr const char* kAbout =
    "Shows what a plasma_store holds: sizes, pins, clients, and a ledger line that adds up. Reads shared memory and "
    "asks "
    "nobody, so it answers also when the store hangs or is dead.";
constexpr const char* kExplained =
    "Without a subcommand: one screen. Every byte of the capacity is in one place of the ledger:\n"
    "  pinned     a process holds the object: it stays\n"
    "  evictable  nobody holds it: it goes, oldest release first, when room is needed\n"
    "  owned      it stays until its owner lets go of it, or goes\n"
    "  unsealed   its creator is still writing it\n"
    "  dying      deleted or evicted, and a process holds it still\n"
    "  free       no object's\n"
    "Examples:\n"
    "  objstat -s /tmp/run/store                   the screen\n"
    "  objstat -s /tmp/run/store ls                who holds what: HOLDERS and CREATOR are numbers of 'clients'\n"
    "  objstat -s /tmp/run/store clients           the connected processes\n"
    "  objstat -s /tmp/run/store --json | jq .ledger\n"
    "Exit codes: 0 fine, 1 failed or the ledger does not add up, 2 usage, 3 no store there, 4 not allowed.";
constexpr int kFine = 0, kFailed = 1, kUsage = 2, kNotRunning = 3, kNotAllowed = 4;
}  // namespace

int main(int argc, char** argv) {
  using raylet::ErrorCode;
  CLI::App app(kAbout, "objstat");
  std::string socket;
  bool as_json = false;
  app.add_option("-s,--socket", socket, "The store's socket")->envname("PLASMA_STORE_SOCKET");
  app.add_flag("--json", as_json, "Print JSON");
  app.set_version_flag("--version", std::string("objstat ") + RAYLET_VERSION);
  app.require_subcommand(0, 1);
  app.fallthrough();
  const auto* const list = app.add_subcommand("ls", "One line for each object, in the order of their places");
  const auto* const clients = app.add_subcommand("clients", "One line for each connected process");
  app.footer(kExplained);
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
