// plasma_store: the daemon that keeps immutable objects in shared memory. main reads the flags,
// builds the parts and runs until it is told to stop.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/log.h"
#include "base/process_start.h"
#include "base/stop_signals.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "fbs/messages.h"
#include "store/abandoned_indexes.h"
#include "store/memory_budget.h"
#include "store/store_server.h"

namespace {

using namespace raylet;
using namespace raylet::store;

struct Flags {
  std::string memory, socket, directory, external_store, log_level = "warning";
  bool hugepages = false;
  int ready_fd = -1, lifeline_fd = -1;
};

constexpr const char* kAbout =
    "plasma_store keeps immutable objects in shared memory: one process creates and seals them, every process of the "
    "same user on this machine reads them in place, without a copy.";
constexpr const char* kExample =
    "Example:\n"
    "  plasma_store -m 1G -s /tmp/run/store &\n"
    "Reserves its memory at start (about 27 % more than -m, for rounding) and removes its socket and its index when "
    "it\n"
    "is stopped by SIGTERM or SIGINT.\n"
    "Exit codes: 0 stopped as asked, 1 failed, 2 usage.";

// "64M", "1.5G", "1000000".
Result<uint64_t> ParseBytes(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const double number = std::strtod(text.c_str(), &end);
  double unit = 1;
  std::string suffix = end;
  if (suffix == "K" || suffix == "k")
    unit = 1024.0;
  else if (suffix == "M" || suffix == "m")
    unit = 1048576.0;
  else if (suffix == "G" || suffix == "g")
    unit = 1073741824.0;
  else if (!suffix.empty())
    end = nullptr;
  if (text.empty() || end == nullptr || end == text.c_str() || errno != 0 || !std::isfinite(number) ||
      number * unit < 1 || number * unit > 1e15)
    return Fail(ErrorCode::kInvalid,
                StrCat("-m \"", text,
                       "\" is no amount of memory: say a number above zero of bytes, or with K, M or G, "
                       "such as 512M or 1G"));
  return static_cast<uint64_t>(number * unit);
}

int Complain(const Error& error) {
  std::fprintf(stderr, "plasma_store: %s\n", error.message.c_str());
  return error.code == ErrorCode::kInvalid ? 2 : 1;
}

struct NamedIndex {
  explicit NamedIndex(std::string segment) : name(std::move(segment)) {}
  ~NamedIndex() {
    if (fd) UnlinkNamedSegment(name);
  }
  NamedIndex(const NamedIndex&) = delete;
  NamedIndex& operator=(const NamedIndex&) = delete;
  const std::string name;
  UniqueFd fd;
  Mapping mapping;
};

// Most of the file is a hole: `entries` of its `entries_max` entries get memory now.
Result<void> CreateIndex(NamedIndex& index, uint64_t entries, uint64_t entries_max) {
  const size_t bytes = IndexSegmentBytes(entries_max);
  auto fd = CreateNamedSegment(index.name, bytes);
  if (!fd && fd.error().code == ErrorCode::kAlreadyExists) {
    const auto old = OpenNamedSegmentReadOnly(index.name);
    if (!old || LockedByOwner(old->get())) return Fail(fd.error());
    UnlinkNamedSegment(index.name);  // left behind by a daemon that was killed
    fd = CreateNamedSegment(index.name, bytes);
  }
  if (!fd) return Fail(fd.error());
  index.fd = std::move(*fd);
  const auto [heads, places] = IndexStepRanges(entries_max, 0, entries);
  // Takes the memory now: a full /dev/shm is an error here and not a SIGBUS later.
  for (const SegmentRange& range : {SegmentRange{0, IndexFixedBytes()}, heads, places}) {
    if (::fallocate(index.fd.get(), 0, static_cast<off_t>(range.offset), static_cast<off_t>(range.bytes)) != 0)
      return FailErrno(StrCat("cannot reserve ", FormatBytes(IndexFixedBytes() + heads.bytes + places.bytes),
                              " in /dev/shm for the index; make it larger, or say "
                              "a smaller -m"),
                       errno);
  }
  auto mapping = Mapping::Map(index.fd.get(), bytes, Mapping::Access::kReadWrite);
  if (!mapping) return Fail(mapping.error());
  index.mapping = std::move(*mapping);
  return {};
}

std::string Who(const std::string& path) {
  const auto other = ConnectUnix(path);
  if (!other) return "";
  const auto peer = GetPeerCredentials(other->get());
  return peer ? StrCat(" (process ", peer->pid, ")") : "";
}

int Run(const Flags& flags) {
  if (flags.lifeline_fd >= 0) {
    if (const auto lifeline = CheckWatchable("--lifeline-fd", flags.lifeline_fd); !lifeline)
      return Complain(lifeline.error());
  }
  const auto capacity = ParseBytes(flags.memory);
  if (!capacity) return Complain(capacity.error());
  const auto level = ParseLogLevel(flags.log_level);
  if (!level) return Complain(level.error());
  SetLogLevel(*level);
  const std::string path = std::filesystem::absolute(flags.socket).lexically_normal();
  if (path.size() > kSocketPathBytesMax)
    return Complain(
        {ErrorCode::kInvalid, StrCat("socket path ", path, " has ", path.size(), " bytes and the kernel takes ",
                                     kSocketPathBytesMax, ": choose a shorter one")});
  if (!flags.directory.empty())
    std::fprintf(stderr, "plasma_store: -d does nothing: objects lie in anonymous shared memory, not in %s\n",
                 flags.directory.c_str());
  if (flags.hugepages) std::fprintf(stderr, "plasma_store: -h does nothing yet: objects lie in pages of 4 KiB\n");
  if (!flags.external_store.empty())
    return Complain(
        {ErrorCode::kInvalid, "-e is not supported yet: evicted objects are deleted and go to no external store"});

  std::signal(SIGPIPE, SIG_IGN);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }

  const MemoryBudget budget = MemoryBudget::For(*capacity);
  if (const auto fits = budget.Check(flags.memory, AvailableMemoryBytes()); !fits) return Complain(fits.error());

  Loop loop;
  StopSignals signals(loop);
  signals.OnStop([&loop] { loop.Stop(); });
  auto listening = ListenUnix(path, 128);
  if (!listening) {
    Error error = listening.error();
    if (error.code == ErrorCode::kAlreadyExists) error.message += Who(path);
    return Complain(error);
  }
  const SocketFile socket_file(path);
  RemoveAbandonedIndexes();
  NamedIndex index(IndexSegmentName(path));
  if (const auto made = CreateIndex(index, budget.index_entries, budget.index_entries_max); !made)
    return Complain(made.error());
  const auto arena = Arena::Create(*capacity);
  if (!arena) return Complain(arena.error());

  const SteadyClock clock;
  IndexHeader* const header = InitIndexSegment(index.mapping.data(), budget.index_entries_max);
  header->capacity_bytes = *capacity;
  header->arena_bytes = (*arena)->arena_bytes();
  header->daemon_pid = ::getpid();
  header->started_unix_ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  header->started_monotonic_ns = static_cast<uint64_t>(clock.Now().time_since_epoch().count());
  std::copy(path.begin(), path.end(), header->socket_path);
  const std::string_view build = kBuild;
  std::copy_n(build.begin(), std::min(build.size(), sizeof header->build - 1), header->build);

  const auto arena_read_only = ReopenReadOnly((*arena)->fd());
  const auto index_read_only = ReopenReadOnly(index.fd.get());
  if (!arena_read_only) return Complain(arena_read_only.error());
  if (!index_read_only) return Complain(index_read_only.error());

  ObjectStore store(*capacity, **arena, header, clock, {index.fd.get(), budget.index_entries});
  StoreServer server(loop, listening->get(), store, header,
                     {arena_read_only->get(), (*arena)->fd(), index_read_only->get(), (*arena)->arena_bytes(),
                      index.mapping.size(), *capacity},
                     clock);
  FdWatcher lifeline;
  if (flags.lifeline_fd >= 0) {
    ::fcntl(flags.lifeline_fd, F_SETFL, O_NONBLOCK);
    lifeline = FdWatcher(loop, flags.lifeline_fd, [&](FdWatcher::Events) {
      char ignored[64];
      const ssize_t got = ::read(flags.lifeline_fd, ignored, sizeof ignored);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) loop.Stop();
    });
    lifeline.Watch({.readable = true});
  }
  std::fprintf(stderr, "plasma_store: serving %s, %s\n", path.c_str(), FormatBytes(*capacity).c_str());
  if (flags.ready_fd >= 0) {
    if (::write(flags.ready_fd, "1", 1) != 1) RAYLET_LOG(kWarning, "nobody listens on the descriptor of --ready-fd");
    ::close(flags.ready_fd);
  }
  (*arena)->TouchAhead();
  loop.Run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  OpenStandardDescriptors();
  UnblockSignals();
  Flags flags;
  CLI::App app(kAbout, "plasma_store");
  app.footer(kExample);
  app.set_help_flag("--help", "Print this and exit");
  app.set_version_flag("--version", StrCat("plasma_store ", RAYLET_VERSION));
  app.add_option("-m,--memory", flags.memory, "Bytes of objects to hold, with K, M or G")->required();
  app.add_option("-s,--socket", flags.socket, "Unix socket to serve, at most 107 bytes")->required();
  app.add_option("-d,--directory", flags.directory, "Does nothing: objects lie in anonymous shared memory");
  app.add_flag("-h,--hugepages", flags.hugepages, "Does nothing yet: objects lie in ordinary pages");
  app.add_option("-e,--external-store", flags.external_store, "Not supported yet: refused");
  app.add_option("--log-level", flags.log_level, "debug, info, warning or error")->capture_default_str();
  app.add_option("--ready-fd", flags.ready_fd, "Write one byte to this descriptor when ready");
  app.add_option("--lifeline-fd", flags.lifeline_fd, "Stop when this descriptor reads end of file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return 2;
  }
  return Run(flags);
}
