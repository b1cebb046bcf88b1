#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "base/strings.h"
#include "tools/objstat/command.h"

namespace raylet::objstat {
namespace {

constexpr int kFine = 0, kUsage = 2;

constexpr const char* kAbout =
    "Shows what a plasma_store holds: sizes, pins, clients, and a ledger line that adds up. Reads shared memory and "
    "asks nobody, so it answers also when the store hangs or is dead.";
constexpr const char* kExplained =
    "Without a subcommand: one screen. Every byte of the capacity is in one place of the ledger:\n"
    "  pinned     a process holds the object: it stays\n"
    "  evictable  nobody holds it: it goes, oldest release first, when room is needed\n"
    "  protected  nobody holds it, and it stays until its owner lets go of it, or ends\n"
    "  unsealed   its creator is still writing it\n"
    "  dying      deleted or evicted, and a process holds it still\n"
    "  restoring  for objects that come back from disk\n"
    "  free       no object's\n"
    "Examples:\n"
    "  export PLASMA_STORE_SOCKET=/tmp/run/store   instead of -s at each call\n"
    "  objstat --watch                             the screen, once a second\n"
    "  objstat ls --sort size --limit 10           the ten largest objects\n"
    "  objstat pins --older 5m                     what processes hold for minutes, by pid and program\n"
    "  objstat why 64M                             whether 64 MiB would fit, and who is in the way\n"
    "  objstat why 3f9a                            why that object is here, or is not\n"
    "  objstat doctor                              what is wrong, and what helps\n"
    "  objstat dump 3f9a | od -c | head            the bytes of an object\n"
    "  objstat --json | jq .ledger                 docs/objstat.md explains each field\n"
    "Exit codes: 0 fine; 1 failed, or the ledger does not add up, or leaks, verify or doctor found something;\n"
    "2 usage, 3 no store there, 4 not allowed.";

// What is wrong with a value, or nothing.
std::string CheckAge(const std::string& text) {
  return ParseAge(text)
             ? ""
             : StrCat("'", Printable(text), "' is no age: say a number with ms, s, m, h or d, such as 90s or 5m");
}

std::string CheckInterval(const std::string& text) {
  const auto ms = ParseAge(text);
  const char* end = text.c_str();
  const double seconds = std::strtod(text.c_str(), const_cast<char**>(&end));
  const bool number = *end == 0 && !text.empty() && seconds >= 0.1 && seconds <= 86'400;
  if (number || (ms && *ms >= 100 && *ms <= 86'400'000)) return "";
  return StrCat("'", Printable(text), "' is no interval: say seconds, from 0.1 to 86400, such as 0.5 or 10");
}

double IntervalOf(const std::string& text) {
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  return *end == 0 ? seconds : static_cast<double>(*ParseAge(text)) / 1000;
}

std::string CheckCount(const std::string& text) {
  const bool digits = !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == std::string::npos;
  return digits && std::stoul(text) > 0
             ? ""
             : StrCat("'", Printable(text), "' is no count: say a number from 1 to 999999999");
}

int Complain(const std::string& what) {
  std::fprintf(stderr, "objstat: %s\n", what.c_str());
  return kUsage;
}

}  // namespace

Parsed ParseCommand(int argc, char** argv) {
  Parsed parsed;
  Command& command = parsed.command;
  CLI::App app(kAbout, "objstat");
  std::string interval = "1", older;
  app.add_option("-s,--socket", command.socket, "The store's socket")->envname("PLASMA_STORE_SOCKET");
  app.add_flag("--json", command.json, "Print JSON: one line for each look with --watch");
  app.add_flag("--prom", command.prom, "Print Prometheus's text format");
  app.add_flag("--watch", command.watch, "Look again and again, and show the rates between two looks");
  app.add_option("--interval", interval, "With --watch and top: seconds between two looks")
      ->capture_default_str()
      ->check(CheckInterval);
  app.add_option("--count", command.count, "With --watch: stop after so many looks")
      ->check(CheckCount)
      ->default_str("none: go on");
  app.set_version_flag("--version", std::string("objstat ") + RAYLET_VERSION);
  app.require_subcommand(0, 1);
  app.fallthrough();
  app.footer(kExplained);

  const auto limit = [&command](CLI::App* verb, const char* what, const char* usual) {
    verb->add_option("--limit", command.limit, what)->check(CheckCount)->default_str(usual);
  };
  auto* const list =
      app.add_subcommand("ls", "One line for each object: id, state, sizes, age, holders, creator, place");
  list->add_option("--state", command.state, "Only these: pinned, evictable, protected, unsealed, dying or spilled")
      ->check(CLI::IsMember({"pinned", "evictable", "protected", "unsealed", "dying", "spilled"}));
  list->add_option("--sort", command.sort, "By place, size, age, pins or waste; the most first")
      ->capture_default_str()
      ->check(CLI::IsMember({"place", "size", "age", "pins", "waste"}));
  limit(list, "At most so many objects", "all");
  auto* const show =
      app.add_subcommand("show", "All about one object: its state, its place, who made and who holds it");
  show->add_option("id", command.subject, "Its id, or the first digits of it")->required();
  auto* const dump = app.add_subcommand("dump", "Write an object's bytes");
  dump->add_option("id", command.subject, "Its id, or the first digits of it")->required();
  dump->add_flag("--metadata", command.metadata, "Its metadata, instead of its data");
  dump->add_option("-o,--output", command.output, "A file to write")->default_str("stdout");
  auto* const pins = app.add_subcommand("pins", "One line for each object that a process holds, by pid and program");
  pins->add_option("--older", older, "Only what may be held for so long, such as 90s or 5m")->check(CheckAge);
  app.add_subcommand("clients", "One line for each connected process");
  app.add_subcommand("arena", "The free runs, how broken up they are, and what stands between them");
  auto* const why =
      app.add_subcommand("why", "Why an object is here or is not; whether a create of a size would find room");
  why->add_option("id|size", command.subject, "An id or its first digits; or bytes with B, K, M or G, such as 64M")
      ->required();
  limit(app.add_subcommand("top", "The clients that keep the most memory, and how fast they create"),
        "At most so many clients", "20");
  app.add_subcommand("sizes", "How many objects there are of each size, and what rounding costs them");
  limit(app.add_subcommand("events",
                           "What happened: who found the store full and who held it then, evictions, ended clients"),
        "At most so many", "256, all that the store keeps");
  auto* const leaks = app.add_subcommand("leaks", "Objects that look forgotten, and who keeps them");
  leaks->add_option("--older", older, "Only objects of this age, such as 90s or 5m")
      ->check(CheckAge)
      ->default_str("60s");
  app.add_subcommand("verify", "Check the index against its own rules");
  app.add_subcommand("doctor", "Look for what goes wrong with stores, and say what helps");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = app.exit(error) == 0 ? kFine : kUsage;
    return parsed;
  }
  if (!app.get_subcommands().empty()) command.verb = app.get_subcommands().front()->get_name();
  command.interval_s = IntervalOf(interval);
  if (!older.empty()) command.older_ms = *ParseAge(older);
  if (command.verb == "leaks" && older.empty()) command.older_ms = 60'000;

  if (command.socket.empty())
    parsed.exit_code = Complain("which store? Say -s SOCKET, or set PLASMA_STORE_SOCKET");
  else if (command.prom && (command.json || !command.verb.empty()))
    parsed.exit_code = Complain("--prom prints all metrics: say it without a subcommand and without --json");
  else if (command.count > 0 && !command.watch)
    parsed.exit_code = Complain("--count is for --watch: say both");
  else if (command.verb == "dump" && (command.json || command.watch))
    parsed.exit_code = Complain("dump writes an object's bytes once: say it without --json and --watch");
  return parsed;
}

}  // namespace raylet::objstat
