#include "store/keeper_link.h"

#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "store/stored_fds.h"

namespace raylet::store {
namespace {

constexpr std::chrono::milliseconds kPause{1000};  // between two keepers that die at once

}  // namespace

KeeperLink::KeeperLink(Loop& loop, UniqueFd channel, KeptFds kept, std::vector<std::string> arguments,
                       std::function<void()> stop)
    : loop_(loop),
      channel_(std::move(channel)),
      kept_(std::move(kept)),
      arguments_(std::move(arguments)),
      stop_(std::move(stop)),
      watcher_(loop, channel_.get(), [this](FdWatcher::Events) { Read(); }) {
  watcher_.Watch({.readable = true});
}

Result<void> KeeperLink::KeepClient(uint32_t client, int pins, int socket) {
  const int both[] = {pins, socket};
  if (channel_) {
    const auto sent = SendKept(channel_.get(), {KeepWhat::kClient, client}, both);
    if (!sent && sent.error().code == ErrorCode::kFull) return Fail(ErrorCode::kLimit, sent.error().message);
  }
  kept_.clients[client] = {pins, socket};  // and so for the next keeper, where this one is gone
  if (manager_ != nullptr) StoreClient(client);
  return {};
}

void KeeperLink::Forget(uint32_t client) {
  if (kept_.clients.erase(client) == 0) return;
  if (manager_ != nullptr) {
    manager_->Remove(PinsName(client));
    manager_->Remove(SocketName(client));
  }
  if (!channel_) return;
  // A keeper that takes no more keeps some descriptors too long, until it is read again.
  static_cast<void>(SendKept(channel_.get(), {KeepWhat::kClientGone, client}));
}

void KeeperLink::KeepWith(ServiceManager* manager) {
  manager_ = manager;
  if (manager == nullptr) return;
  manager->Store(kListeningName, kept_.listening);
  manager->Store(kStoredArenaName, kept_.arena);
  manager->Store(kStoredIndexName, kept_.index);
  for (const auto& [client, fds] : kept_.clients) StoreClient(client);
}

// One that connects again has another socket.
void KeeperLink::StoreClient(uint32_t client) {
  const KeptFds::Client& fds = kept_.clients.at(client);
  manager_->Remove(SocketName(client));
  manager_->Store(PinsName(client), fds.pins);
  manager_->Store(SocketName(client), fds.socket);
}

bool KeeperLink::Done(int exit_code) {
  watcher_.Cancel();
  return channel_ && SendKept(channel_.get(), {KeepWhat::kDone, static_cast<uint32_t>(exit_code)}).has_value();
}

// A keeper that does not hear it would start another server. Nobody but this process can stop that now.
void KeeperLink::HandedOver() {
  watcher_.Cancel();
  if (!channel_) return;
  while (true) {
    const auto sent = SendKept(channel_.get(), {KeepWhat::kHandedOver});
    if (sent || sent.error().code != ErrorCode::kFull) return;
    static_cast<void>(WaitWritable(channel_.get(), Deadline::AfterMs(100)));
  }
}

void KeeperLink::Read() {
  std::vector<UniqueFd> fds;
  const auto message = ReceiveKept(channel_.get(), fds);
  if (message) {
    if (message->what == KeepWhat::kStop) stop_();
    return;
  }
  if (message.error().code == ErrorCode::kTimedOut) return;
  RAYLET_LOG(kWarning, "the keeper of this plasma_store died; starting another");
  watcher_.Cancel();
  channel_.Reset();
  const Duration since = std::chrono::steady_clock::now() - made_;
  if (since > kPause) return MakeKeeper();
  again_ = Timer(loop_, kPause, {}, [this] { MakeKeeper(); });
}

// By posix_spawn: a fork would run the allocator's handlers, and copy the page tables.
void KeeperLink::MakeKeeper() {
  made_ = std::chrono::steady_clock::now();
  int ends[2];
  const auto failed = [&](const char* what) {
    RAYLET_LOG(kError, "plasma_store has no keeper, and would not survive its own death: ", what);
    channel_.Reset();
    again_ = Timer(loop_, kPause, {}, [this] { MakeKeeper(); });
  };
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return failed("no descriptor");
  channel_ = UniqueFd(ends[0]);
  const UniqueFd other(ends[1]);
  std::vector<std::string> environment = {StrCat(kKeeperChannelVariable, "=", other.get())};
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  std::vector<char*> arguments, variables;
  for (const std::string& argument : arguments_) arguments.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& variable : environment) variables.push_back(const_cast<char*>(variable.c_str()));
  arguments.push_back(nullptr);
  variables.push_back(nullptr);
  std::signal(SIGCHLD, SIG_IGN);  // nobody waits for a keeper; the keeper itself waits for its servers
  sigset_t defaults;
  ::sigemptyset(&defaults);
  ::sigaddset(&defaults, SIGCHLD);
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, other.get(), other.get());  // keeps it open over the exec
  pid_t child = 0;
  const int error = ::posix_spawn(&child, "/proc/self/exe", &actions, &attributes, arguments.data(), variables.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return failed("no process can be started");
  if (const auto sent = SendAll(channel_.get(), kept_); !sent) return failed(sent.error().message.c_str());
  watcher_ = FdWatcher(loop_, channel_.get(), [this](FdWatcher::Events) { Read(); });
  watcher_.Watch({.readable = true});
}

}  // namespace raylet::store
