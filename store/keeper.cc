#include "store/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <deque>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/strings.h"

namespace raylet::store {
namespace {

constexpr std::chrono::seconds kDeathsWithin{10};

KeeperOutcome Ended(int exit_code) {
  KeeperOutcome outcome;
  outcome.exit_code = exit_code;
  return outcome;
}

KeeperOutcome GiveUp(const char* what) {
  std::fprintf(stderr, "plasma_store: %s: giving up, and the objects are gone\n", what);
  return Ended(1);
}

std::string HowEnded(int status) {
  return WIFSIGNALED(status) ? StrCat("of signal ", WTERMSIG(status)) : StrCat("with exit code ", WEXITSTATUS(status));
}

}  // namespace

KeeperOutcome Keep(Kept& kept, UniqueFd channel, uint32_t deaths_max, int ready_fd, bool has_objects) {
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  ::sigprocmask(SIG_BLOCK, &stops, nullptr);
  UniqueFd signals(::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK));
  std::deque<TimePoint> deaths;
  std::optional<int> done;
  pid_t server = 0;  // where it is a child of this process
  bool handed_over = false, first = true;
  for (bool again = has_objects, stopping = false;;) {
    if (!channel) {
      int ends[2];
      if (!signals || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return GiveUp("the keeper has no descriptor for another server");
      channel = UniqueFd(ends[0]);
      UniqueFd other(ends[1]);
      server = ::fork();
      if (server < 0) return GiveUp("the keeper cannot start another server");
      if (server == 0) {
        KeeperOutcome serve;
        serve.serves = true;
        serve.again = again;
        serve.first = first;
        serve.channel = std::move(other);
        return serve;
      }
      first = false;
      if (ready_fd >= 0) ::close(std::exchange(ready_fd, -1));
    }
    pollfd watched[] = {{channel.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
    if (::poll(watched, 2, -1) < 0) continue;
    signalfd_siginfo signal{};
    while (::read(signals.get(), &signal, sizeof signal) == sizeof signal) {
      stopping = true;
      static_cast<void>(SendKept(channel.get(), {KeepWhat::kStop}));  // one that is gone has stopped
    }
    if (watched[0].revents == 0) continue;
    std::vector<UniqueFd> fds;
    if (const auto message = ReceiveKept(channel.get(), fds); message) {
      if (message->what == KeepWhat::kDone) done = static_cast<int>(message->value);
      if (message->what == KeepWhat::kHandedOver) handed_over = true;
      Apply(kept, *message, std::move(fds));
      continue;
    } else if (message.error().code == ErrorCode::kTimedOut) {
      continue;
    }
    channel.Reset();  // the server has ended
    int status = 0;
    std::string how = "while this was not its parent";
    if (server > 0 && ::waitpid(server, &status, 0) == server) how = HowEnded(status);
    if (handed_over) {
      KeeperOutcome outcome;
      outcome.handed_over = true;
      return outcome;
    }
    if (done || stopping) return Ended(done.value_or(0));
    const TimePoint now = std::chrono::steady_clock::now();
    while (!deaths.empty() && now - deaths.front() > kDeathsWithin) deaths.pop_front();
    deaths.push_back(now);
    std::fprintf(stderr, "plasma_store: the server died %s\n", how.c_str());
    if (deaths.size() >= deaths_max) return GiveUp("the server dies again and again");
    again = true;
  }
}

}  // namespace raylet::store
