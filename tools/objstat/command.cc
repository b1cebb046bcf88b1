#include "tools/objstat/command.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "base/exit_code.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "fbs/store_metrics.h"
#include "tools/objstat/arena_report.h"
#include "tools/objstat/choice.h"
#include "tools/objstat/doctor.h"
#include "tools/objstat/dump.h"
#include "tools/objstat/events.h"
#include "tools/objstat/json.h"
#include "tools/objstat/leaks.h"
#include "tools/objstat/pins.h"
#include "tools/objstat/prometheus.h"
#include "tools/objstat/rates.h"
#include "tools/objstat/screen.h"
#include "tools/objstat/sizes.h"
#include "tools/objstat/verify.h"
#include "tools/objstat/why.h"

namespace raylet::objstat {
namespace {

constexpr int kFine = 0, kFailed = 1;
constexpr size_t kTopMost = 20, kEventsMost = kEventSlots;

struct Printed {
  std::string text;
  int exit_code = kFine;
};

void Pause(double seconds) {
  const auto whole = static_cast<time_t>(seconds);
  timespec left{whole, static_cast<long>((seconds - static_cast<double>(whole)) * 1e9)};
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

// `text` and `json` are functions, since only one of the two is wanted.
template <class Text, class Json>
std::string Choose(const Command& command, const Text& text, const Json& json) {
  return command.json ? JsonText(json(), command.watch) : text();
}

std::vector<const Object*> Chosen(const Snapshot& snapshot, const Command& command) {
  std::vector<const Object*> objects;
  for (const Object& object : snapshot.objects)
    if (command.state.empty() || command.state == PlaceName(object.place)) objects.push_back(&object);
  const auto most_first = [&objects](const auto& key) {
    std::ranges::stable_sort(objects, [&key](const Object* a, const Object* b) { return key(*a) > key(*b); });
  };
  if (command.sort == "size") most_first([](const Object& object) { return object.bytes(); });
  if (command.sort == "age") most_first([](const Object& object) { return object.age_ms; });
  if (command.sort == "pins") most_first([](const Object& object) { return uint64_t{object.pins}; });
  if (command.sort == "waste")
    most_first([](const Object& object) { return object.physical_bytes() - object.bytes(); });
  if (command.limit > 0 && objects.size() > command.limit) objects.resize(command.limit);
  return objects;
}

// A size has a unit; digits alone are those of an id.
std::optional<uint64_t> SizeOf(const std::string& text) {
  if (text.empty() || std::string_view("KkMmGgB").find(text.back()) == std::string_view::npos) return std::nullopt;
  if (text.back() != 'B') return ParseBytes(text);
  return ParseBytes(text.substr(0, text.size() - 1));
}

Result<Printed> PrintWhy(const Command& command, const Snapshot& snapshot, Look look) {
  Answer answer;
  const auto bytes = SizeOf(command.subject);
  const auto digits = CheckIdText(command.subject);
  // "64b" is a size, and "3f9b" an id: upper-case B alone is the unit of bytes.
  if (bytes) {
    answer = WhySize(snapshot, *bytes);
  } else if (digits) {
    auto found = WhyObject(snapshot, *digits);
    if (!found) return Fail(found.error());
    answer = *std::move(found);
  } else {
    return Fail(ErrorCode::kInvalid,
                StrCat("'", Printable(command.subject), "' is neither an object nor a size: say 4 to 40 hexadecimal ",
                       "digits of an id, or bytes with B, K, M or G, such as 64M"));
  }
  return Printed{Choose(
      command, [&] { return AnswerText(snapshot, answer, look); }, [&] { return AnswerJson(answer); })};
}

Result<const Object*> Subject(const Command& command, const Snapshot& snapshot) {
  const auto digits = CheckIdText(command.subject);
  if (!digits) return Fail(digits.error());
  return ChooseObject(snapshot, *digits);
}

// The output for one look at the store. `earlier` is the look before.
Result<Printed> Print(const Command& command, const OpenIndex& open, const Snapshot* earlier, const Snapshot& now,
                      Look look) {
  const auto choose = [&command](const auto& text, const auto& json, int exit_code = kFine) {
    return Printed{Choose(command, text, json), exit_code};
  };
  const std::string& verb = command.verb;
  if (command.prom) return Printed{PrometheusText(now, ReadStoreMetrics(open.index.header()))};
  if (verb == "ls") {
    const auto objects = Chosen(now, command);
    return choose([&] { return ObjectList(now, objects, look); }, [&] { return ObjectsJson(objects); });
  }
  if (verb == "show") {
    const auto object = Subject(command, now);
    if (!object) return Fail(object.error());
    return choose([&] { return ObjectText(now, **object, look); }, [&] { return ObjectJson(**object); });
  }
  if (verb == "pins") {
    const auto pins = PinsOf(now, command.older_ms);
    return choose([&] { return PinsText(now, pins, look); }, [&] { return PinsJson(pins); });
  }
  if (verb == "clients") return choose([&] { return ClientList(now, look); }, [&] { return ClientsJson(now); });
  if (verb == "arena") {
    const ArenaReport report = MakeArenaReport(now);
    return choose([&] { return ArenaText(now, report, look); }, [&] { return ArenaJson(report); });
  }
  if (verb == "why") return PrintWhy(command, now, look);
  if (verb == "top") {
    const size_t most = command.limit == 0 ? kTopMost : command.limit;
    return choose([&] { return TopText(earlier, now, most, look); }, [&] { return TopJson(earlier, now, most); });
  }
  if (verb == "sizes") {
    const auto sizes = SizesOf(now);
    return choose([&] { return SizesText(now, sizes, look); }, [&] { return SizesJson(sizes); });
  }
  if (verb == "events") {
    const size_t most = command.limit == 0 ? kEventsMost : command.limit;
    return choose([&] { return EventsText(now, most, look); }, [&] { return EventsJson(now, most); });
  }
  if (verb == "leaks") {
    const auto leaks = FindLeaks(now, command.older_ms);
    return choose([&] { return LeaksText(now, leaks, command.older_ms, look); }, [&] { return LeaksJson(now, leaks); },
                  leaks.empty() ? kFine : kFailed);
  }
  if (verb == "verify") {
    const Verification verification = Verify(open);
    return choose([&] { return VerifyText(verification, look); }, [&] { return VerifyJson(verification); },
                  verification.findings.empty() ? kFine : kFailed);
  }
  if (verb == "doctor") {
    const auto checks = Diagnose(Examine(open));
    const bool fine = std::ranges::all_of(checks, [](const Check& check) { return check.health == Health::kFine; });
    return choose([&] { return DoctorText(checks, look); }, [&] { return DoctorJson(checks); }, fine ? kFine : kFailed);
  }
  const Rates rates = RatesBetween(earlier, now);
  return choose([&] { return DefaultScreen(now, rates, look); }, [&] { return DefaultJson(now, rates); },
                now.ledger.AddsUp() ? kFine : kFailed);
}

Result<void> WriteAll(int fd, std::span<const char> bytes, const std::string& where) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FailErrno(StrCat("cannot write to ", where), errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<void> RunDump(const Command& command, const OpenIndex& open) {
  const Snapshot snapshot = TakeSnapshot(open);
  const auto object = Subject(command, snapshot);
  if (!object) return Fail(object.error());
  UniqueFd file;
  if (!command.output.empty()) {
    file = UniqueFd(::open(command.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) return FailErrno(StrCat("cannot write ", command.output), errno);
  }
  const int out = file ? file.get() : STDOUT_FILENO;
  const std::string where = file ? command.output : "stdout";
  return Dump(open, snapshot, **object, command.metadata ? Part::kMetadata : Part::kData,
              [&](std::span<const char> bytes) { return WriteAll(out, bytes, where); });
}

int Complain(const Error& error) {
  std::fprintf(stderr, "objstat: %s\n", error.message.c_str());
  return ExitCode(error.code);
}

}  // namespace

int Run(const Command& command, Look look) {
  if (command.verb == "dump") {
    const auto open = OpenIndexOf(command.socket);
    if (!open) return Complain(open.error());
    const auto dumped = RunDump(command, *open);
    return dumped ? kFine : Complain(dumped.error());
  }
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  std::optional<Snapshot> earlier;
  for (uint64_t n = 1;; ++n) {
    // Opened anew each time: another store may serve the path by now.
    const auto open = OpenIndexOf(command.socket);
    if (!open) return Complain(open.error());
    Snapshot now = TakeSnapshot(*open);
    if (command.verb == "top" && !earlier) {
      earlier = std::move(now);
      Pause(command.interval_s);
      now = TakeSnapshot(*open);
    }
    const auto printed = Print(command, *open, earlier ? &*earlier : nullptr, now, look);
    if (!printed) return Complain(printed.error());
    std::string text = printed->text;
    if (command.watch && !command.json) text = terminal ? "\033[H\033[2J" + text : text + "\n";
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) return kFailed;
    if (!command.watch || n == command.count) return printed->exit_code;
    earlier = std::move(now);
    Pause(command.interval_s);
  }
}

}  // namespace raylet::objstat
