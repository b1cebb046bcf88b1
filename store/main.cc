// plasma_store: the daemon that keeps immutable objects in shared memory. main reads the flags,
// builds the parts and runs until it is told to stop.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/available_memory.h"
#include "base/log.h"
#include "base/process_start.h"
#include "base/stop_signals.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "fbs/messages.h"
#include "store/abandoned_indexes.h"
#include "store/flags.h"
#include "store/huge_pages.h"
#include "store/keeper.h"
#include "store/keeper_link.h"
#include "store/loop_pulse.h"
#include "store/memory_budget.h"
#include "store/metrics_server.h"
#include "store/recovery.h"
#include "store/service_manager.h"
#include "store/spill_folder.h"
#include "store/spill_target.h"
#include "store/spill_threads.h"
#include "store/store_server.h"
#include "store/stored_fds.h"
#include "store/take_over.h"

namespace {

using namespace raylet;
using namespace raylet::store;

constexpr const char* kStrict = "strict";  // of --isolation

int Complain(const Error& error) {
  std::fprintf(stderr, "plasma_store: %s\n", error.message.c_str());
  return error.code == ErrorCode::kInvalid ? 2 : 1;
}

// The index's name in /dev/shm, which goes with the store.
struct IndexName {
  explicit IndexName(std::string segment) : name(std::move(segment)) {}
  ~IndexName() {
    if (ours) UnlinkNamedSegment(name);
  }
  IndexName(const IndexName&) = delete;
  IndexName& operator=(const IndexName&) = delete;
  const std::string name;
  bool ours = false;
};

// Most of the file is a hole: `entries` of its `entries_max` entries get memory now.
Result<UniqueFd> CreateIndexFile(IndexName& index, uint64_t entries, uint64_t entries_max) {
  const size_t bytes = IndexSegmentBytes(entries_max);
  auto fd = CreateNamedSegment(index.name, bytes);
  if (!fd && fd.error().code == ErrorCode::kAlreadyExists) {
    const auto old = OpenNamedSegmentReadOnly(index.name);
    if (!old || LockedByOwner(old->get())) return Fail(fd.error());
    UnlinkNamedSegment(index.name);  // left behind by a daemon that was killed
    fd = CreateNamedSegment(index.name, bytes);
  }
  if (!fd) return Fail(fd.error());
  index.ours = true;
  const auto [heads, places, owners] = IndexStepRanges(entries_max, 0, entries);
  // Takes the memory now: a full /dev/shm is an error here and not a SIGBUS later.
  for (const SegmentRange& range : {SegmentRange{0, IndexFixedBytes()}, heads, places, owners}) {
    if (::fallocate(fd->get(), 0, static_cast<off_t>(range.offset), static_cast<off_t>(range.bytes)) != 0)
      return FailErrno(
          StrCat("cannot reserve ", FormatBytes(IndexFixedBytes() + heads.bytes + places.bytes + owners.bytes),
                 " in /dev/shm for the index; make it larger, or say a smaller -m"),
          errno);
  }
  return fd;
}

Result<void> InitIndex(int fd, const MemoryBudget& budget, uint64_t capacity_bytes, const std::string& path) {
  const auto mapping = Mapping::Map(fd, IndexSegmentBytes(budget.index_entries_max), Mapping::Access::kReadWrite);
  if (!mapping) return Fail(mapping.error());
  IndexHeader* const header = InitIndexSegment(mapping->data(), budget.index_entries_max);
  header->capacity_bytes = capacity_bytes;
  header->arena_bytes = budget.arena_bytes;
  header->started_unix_ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  header->started_monotonic_ns = static_cast<uint64_t>(SteadyClock().Now().time_since_epoch().count());
  std::copy(path.begin(), path.end(), header->socket_path);
  return {};
}

// With -h it says in which pages the objects lie.
Result<UniqueFd> CreateArena(bool hugepages, uint64_t capacity_bytes, Result<UniqueFd> hugetlb) {
  if (!hugepages) return Arena::CreateMemory(capacity_bytes);
  const auto say = [](const std::string& where) {
    std::fprintf(stderr, "plasma_store: -h: objects lie in %s\n", where.c_str());
  };
  if (hugetlb) {
    say("reserved huge pages (hugetlb)");
    return hugetlb;
  }
  const std::string setting = ShmemHugePages();
  auto advised = CreateAdvisedMemory(kArenaName, Arena::BytesFor(capacity_bytes), setting);
  if (advised) say(StrCat("huge pages that the kernel makes where it can (shmem_enabled: ", setting, ")"));
  if (advised || advised.error().code != ErrorCode::kInvalid) return advised;
  say(StrCat("pages of 4 KiB: ", hugetlb.error().message, ", and ", advised.error().message));
  return Arena::CreateMemory(capacity_bytes);
}

// Another one than before, where a newer release has taken the store over.
void SetBuild(IndexHeader& header) {
  const std::string_view build = kBuild;
  std::fill(std::begin(header.build), std::end(header.build), '\0');
  std::copy_n(build.begin(), std::min(build.size(), sizeof header.build - 1), header.build);
}

std::string Who(const std::string& path) {
  const auto other = ConnectUnix(path);
  if (!other) return "";
  const auto peer = GetPeerCredentials(other->get());
  return peer ? StrCat(" (process ", peer->pid, ")") : "";
}

// The parts that spill, in the order of their lives.
struct Spilling {
  ~Spilling() {
    spiller.reset();
    disk.reset();
    if (folder && stopped) folder->RemoveAll();
  }
  std::optional<SpillFolder> folder;
  std::unique_ptr<SpillThreads> disk;
  std::unique_ptr<Spiller> spiller;
  bool stopped = false;  // as asked: no server goes on with the files
};

// The same for each server of a store.
std::string FolderOf(const SpillTarget& target) { return std::filesystem::absolute(target.folder).lexically_normal(); }

StoreFacts FactsOf(const Flags& flags, uint64_t capacity, const std::optional<SpillTarget>& target) {
  return {.capacity_bytes = capacity,
          .strict = flags.isolation == kStrict,
          .spill_folder = target ? FolderOf(*target) : std::string()};
}

Result<void> StartSpilling(const SpillTarget& target, const std::string& path, Loop& loop, ObjectStore& store,
                           bool again, Spilling& spilling) {
  auto folder = SpillFolder::Open(FolderOf(target), IndexSegmentName(path), again);
  if (!folder) return Fail(folder.error().code, StrCat(target.flag, ": ", folder.error().message));
  spilling.folder = *std::move(folder);
  spilling.disk = std::make_unique<SpillThreads>(loop, *spilling.folder, store.arena_data());
  spilling.spiller =
      std::make_unique<Spiller>(store.table(), store.room(), *spilling.disk, target.bytes_max, target.what);
  return {};
}

// What every keeper has before a server that is started anew needs it.
Result<void> ReceiveMemory(int channel, Kept& kept) {
  while (!kept.listening) {
    if (const auto readable = WaitReadable(channel, Deadline::AfterMs(10'000)); !readable || !*readable)
      return Fail(ErrorCode::kTimedOut, "the server that started this keeper sends nothing");
    std::vector<UniqueFd> fds;
    const auto message = ReceiveKept(channel, fds);
    if (!message) return Fail(message.error());
    Apply(kept, *message, std::move(fds));
  }
  return {};
}

// The clients of the server that died. Their pages are mapped before anything is freed.
Result<void> Recover(ObjectStore& store, StoreServer& server, Spilling& spilling, Kept& kept, KeeperLink& keeper) {
  std::vector<Recovery::ClientPage> pages;
  std::map<uint32_t, Mapping> mappings;
  for (const auto& [number, client] : kept.clients) {
    auto mapping = Mapping::Map(client.pins.get(), PinPageBytes(), Mapping::Access::kReadWrite);
    if (!mapping) return Fail(mapping.error());
    pages.push_back({number, mapping->As<PinPage>()});
    mappings[number] = *std::move(mapping);
  }
  RAYLET_RETURN_IF_ERROR(Recovery(store).Run(pages));
  if (spilling.spiller) spilling.spiller->Adopt(spilling.folder->Files());
  for (auto& [number, client] : kept.clients) {
    if (store.IsConnected(number))
      server.AddAbsent(number, std::move(client.pins), std::move(mappings[number]), std::move(client.socket));
    else
      keeper.Forget(number);  // the server died after the keeper heard of it, or before the keeper heard of its end
  }
  kept.clients.clear();
  server.EndLostClients();
  return {};
}

// What starts another keeper of this store. It takes nothing over.
std::vector<std::string> KeeperWords(const Flags& flags, uint64_t capacity) {
  if (flags.take_over.empty()) return flags.words;
  std::vector<std::string> words;
  constexpr std::string_view kTakeOver = "--take-over";
  for (size_t i = 0; i < flags.words.size(); ++i) {
    if (flags.words[i] == kTakeOver)
      ++i;
    else if (!flags.words[i].starts_with(StrCat(kTakeOver, "=")))
      words.push_back(flags.words[i]);
  }
  if (flags.memory.empty()) words.insert(words.end(), {"-m", std::to_string(capacity)});
  words.insert(words.end(), {"-s", flags.socket});
  return words;
}

KeptFds FdsOf(const Kept& kept) {
  KeptFds fds{.listening = kept.listening.get(), .arena = kept.arena.get(), .index = kept.index.get(), .clients = {}};
  for (const auto& [number, client] : kept.clients) fds.clients[number] = {client.pins.get(), client.socket.get()};
  return fds;
}

int Serve(const Flags& flags, const std::optional<MetricsOptions>& metrics_options,
          const std::optional<SpillTarget>& spill_target, const std::string& path, uint64_t capacity,
          const MemoryBudget& budget, Kept& kept, Loop& loop, KeeperLink& keeper, const KeeperOutcome& of_keeper) {
  const bool again = of_keeper.again;
  const auto index =
      Mapping::Map(kept.index.get(), IndexSegmentBytes(budget.index_entries_max), Mapping::Access::kReadWrite);
  if (!index) return Complain(index.error());
  auto* const header = index->As<IndexHeader>();
  header->daemon_pid = ::getpid();
  SetBuild(*header);
  UniqueFd arena_fd(::fcntl(kept.arena.get(), F_DUPFD_CLOEXEC, 3));
  const auto arena = Arena::Open(std::move(arena_fd), capacity);
  if (!arena) return Complain(arena.error());
  const auto arena_read_only = ReopenReadOnly((*arena)->fd());
  const auto index_read_only = ReopenReadOnly(kept.index.get());
  if (!arena_read_only) return Complain(arena_read_only.error());
  if (!index_read_only) return Complain(index_read_only.error());

  if (flags.decay_s > 0) (*arena)->Decay();
  const SteadyClock clock;
  ObjectStore store(capacity, **arena, header, clock, {kept.index.get(), budget.index_entries});
  Spilling spilling;
  if (spill_target)
    if (const auto started = StartSpilling(*spill_target, path, loop, store, again, spilling); !started) {
      if (!again) return Complain(started.error());
      RAYLET_LOG(kError, "spilled objects cannot be read, and nothing more is spilled: ", started.error().message);
    }
  StoreServer server(loop, kept.listening.get(), store, header,
                     {.arena_read_only = arena_read_only->get(),
                      .arena_read_write = flags.isolation == kStrict ? -1 : (*arena)->fd(),
                      .index_read_only = index_read_only->get(),
                      .arena_bytes = (*arena)->arena_bytes(),
                      .index_bytes = index->size(),
                      .capacity_bytes = capacity},
                     clock);
  server.SetKeeper(keeper);
  HandOver hand_over(
      loop, FactsOf(flags, capacity, spill_target), [&keeper](int to) { return keeper.GiveAll(to); },
      [&keeper] {
        keeper.HandedOver();
        ::_exit(0);
      });
  server.SetHandOver(hand_over);
  if (spilling.spiller) server.SetSpiller(*spilling.spiller);
  server.SetMemoryGuard(MemoryGuard([root = flags.memory_root] { return AvailableMemoryBytesBelow(root); }));
  if (again) {
    const TimePoint started = clock.Now();
    if (const auto recovered = Recover(store, server, spilling, kept, keeper); !recovered)
      return Complain(recovered.error());
    std::fprintf(stderr, "plasma_store: serving %s again, with %llu objects, after %lld ms\n", path.c_str(),
                 static_cast<unsigned long long>(header->counters.sealed_count.load()),
                 static_cast<long long>((clock.Now() - started).count() / 1'000'000));
  } else {
    std::fprintf(stderr, "plasma_store: serving %s, %s\n", path.c_str(), FormatBytes(capacity).c_str());
  }
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
  LoopPulse pulse(loop);
  std::unique_ptr<MetricsServer> metrics;
  if (metrics_options) {
    auto started = MetricsServer::Start(*metrics_options, *header, pulse);
    if (!started && !again)
      return Complain({started.error().code, StrCat("--metrics-port: ", started.error().message)});
    if (started) {
      metrics = *std::move(started);
      std::fprintf(stderr, "plasma_store: metrics at %s\n", metrics->url().c_str());
    } else {
      RAYLET_LOG(kError, "no metrics are served: ", started.error().message);  // the objects are worth more
    }
  }
  ServiceManager manager;
  if (flags.ready_fd >= 0 && of_keeper.first) {
    if (::write(flags.ready_fd, "1", 1) != 1) RAYLET_LOG(kWarning, "nobody listens on the descriptor of --ready-fd");
    ::close(flags.ready_fd);
  }
  Timer decay;
  if (flags.decay_s > 0)
    decay = Timer(loop, std::chrono::seconds(flags.decay_s), std::chrono::seconds(flags.decay_s),
                  [&arena] { (*arena)->GiveBackIdle(); });
  else if (!IsHugetlb((*arena)->fd()))
    (*arena)->TouchAhead();
  manager.Ready(loop, StrCat("serving ", path, ", ", FormatBytes(capacity)));
  if (manager.present()) keeper.KeepWith(&manager);
  if (metrics) metrics->SetReady(true);
  loop.Run();
  keeper.KeepWith(nullptr);
  manager.Stopping();
  spilling.stopped = true;
  return 0;
}

int Run(const Flags& flags) {
  if (flags.lifeline_fd >= 0) {
    if (const auto lifeline = CheckWatchable("--lifeline-fd", flags.lifeline_fd); !lifeline)
      return Complain(lifeline.error());
  }
  const auto said = ParseBytes(flags.memory);
  if (!said && !flags.memory.empty())
    return Complain({ErrorCode::kInvalid, StrCat("-m \"", flags.memory,
                                                 "\" is no amount of memory: say a number above zero of bytes, or "
                                                 "with K, M or G, such as 512M or 1G")});
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
  const auto spill_target = ReadSpillFlags(flags.spill_dir, flags.external_store, flags.spill_max);
  if (!spill_target) return Complain(spill_target.error());

  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of spill files is an error of their writes
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }

  std::optional<MetricsOptions> metrics;
  if (flags.metrics_port) {
    const auto listen = MakeTcpAddress(flags.metrics_address, *flags.metrics_port);
    if (!listen) return Complain({ErrorCode::kInvalid, StrCat("--metrics-address: ", listen.error().message)});
    metrics = MetricsOptions{.listen = *listen};
  }

  uint64_t capacity = said.value_or(0);
  IndexName index(IndexSegmentName(path));
  std::optional<SocketFile> socket_file;
  Kept kept = TakeStoredFds();
  const bool again = std::getenv(kKeeperChannelVariable) != nullptr;
  const bool takes_over = !again && !flags.take_over.empty();
  bool goes_on = takes_over;
  if (IsWhole(kept) && !again && !takes_over) {
    const auto stored_bytes = CapacityOf(kept, path);
    goes_on = stored_bytes.has_value();
    const std::string spill_folder = *spill_target ? SpillFolder::Of(FolderOf(**spill_target), index.name) : "";
    if (goes_on) {
      const auto fits = CheckFlags(kept, path, flags.isolation == kStrict, spill_folder);
      if (!fits) return Complain(fits.error());
    }
    index.ours = true;
    if (goes_on) {
      capacity = *stored_bytes;
    } else {
      RAYLET_LOG(kWarning, "the objects that the service manager has kept are gone: ", stored_bytes.error().message);
      UnlinkNamedSegment(index.name);
      kept = {};
      std::error_code error;
      std::filesystem::remove(path, error);  // nobody else serves it
    }
  }
  if (takes_over) {
    auto taken = TakeOver(path, FactsOf(flags, capacity, *spill_target));
    if (!taken) return Complain(taken.error());
    capacity = taken->capacity_bytes;
    kept = std::move(taken->kept);
    index.ours = true;
  }
  MemoryBudget budget = MemoryBudget::For(capacity);
  if (metrics) budget.daemon_bytes += kMetricsBytes;
  if (*spill_target) budget.daemon_bytes += kSpillThreadsBytes;
  const auto available = [root = flags.memory_root] { return AvailableMemoryBytesBelow(root); };
  UniqueFd running;  // the channel to the server that started this keeper
  if (again) {
    running = UniqueFd(std::atoi(std::getenv(kKeeperChannelVariable)));
    ::unsetenv(kKeeperChannelVariable);
    if (const auto received = ReceiveMemory(running.get(), kept); !received) return Complain(received.error());
    index.ours = true;
  } else if (!goes_on) {
    // Before the look at what the machine has left, where its reserved pages do not count.
    auto hugetlb = flags.hugepages ? CreateHugetlbMemory(kArenaName, budget.arena_bytes)
                                   : Result<UniqueFd>(Fail(ErrorCode::kInvalid, "nobody asked for it"));
    const uint64_t reserved_bytes = hugetlb ? budget.arena_bytes : 0;
    if (const auto fits = budget.Check(flags.memory, available() + reserved_bytes); !fits)
      return Complain(fits.error());
    auto listening = ListenUnix(path, 128);
    if (!listening) {
      Error error = listening.error();
      if (error.code == ErrorCode::kAlreadyExists) error.message += Who(path);
      return Complain(error);
    }
    if (flags.isolation == kStrict && ::chmod(path.c_str(), 0666) != 0)
      return Complain({ErrorCode::kIo, StrCat("cannot let other users connect to ", path)});
    kept.listening = *std::move(listening);
    socket_file.emplace(path);  // also where the rest fails
    RemoveAbandonedIndexes();
    auto index_file = CreateIndexFile(index, budget.index_entries, budget.index_entries_max);
    if (!index_file) return Complain(index_file.error());
    kept.index = *std::move(index_file);
    auto arena = CreateArena(flags.hugepages, capacity, std::move(hugetlb));
    if (!arena) return Complain(arena.error());
    kept.arena = *std::move(arena);
    if (const auto made = InitIndex(kept.index.get(), budget, capacity, path); !made) return Complain(made.error());
  }
  if (!socket_file) socket_file.emplace(path);

  KeeperOutcome outcome = Keep(kept, std::move(running), flags.deaths_max, again ? -1 : flags.ready_fd, goes_on);
  if (outcome.handed_over) {
    std::fprintf(stderr, "plasma_store: another one has taken %s over\n", path.c_str());
    index.ours = false;
    socket_file->Leave();
  }
  if (!outcome.serves) return outcome.exit_code;
  Loop loop;
  StopSignals signals(loop);
  signals.OnStop([&loop] { loop.Stop(); });
  UnblockSignals();
  KeeperLink keeper(loop, std::move(outcome.channel), FdsOf(kept), KeeperWords(flags, capacity),
                    [&loop] { loop.Stop(); });
  const int exit_code = Serve(flags, metrics, *spill_target, path, capacity, budget, kept, loop, keeper, outcome);
  // The keeper removes socket and index, once this process has gone.
  if (keeper.Done(exit_code)) ::_exit(exit_code);
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  OpenStandardDescriptors();
  UnblockSignals();
  const ParsedFlags parsed = ParseFlags(argc, argv);
  return parsed.exit_code >= 0 ? parsed.exit_code : Run(parsed.flags);
}
