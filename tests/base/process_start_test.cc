#include "base/process_start.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace raylet {
namespace {

// Runs `run` in a child; 0 when its condition holds.
template <class Run>
int ExitCodeInChild(Run run) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(run() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(ProcessStart, OpensOnlyTheClosedStandardDescriptors) {
  EXPECT_EQ(ExitCodeInChild([] {
              ::close(0);
              ::close(2);
              const int free_before = ::fcntl(1, F_DUPFD, 3);
              ::close(free_before);
              OpenStandardDescriptors();
              const int free_after = ::fcntl(1, F_DUPFD, 3);
              return ::fcntl(0, F_GETFD) == 0 && ::fcntl(2, F_GETFD) == 0 && free_after == free_before;
            }),
            0);
}

TEST(ProcessStart, UnblocksTheSignalsThatItsParentBlocked) {
  EXPECT_EQ(ExitCodeInChild([] {
              sigset_t all;
              ::sigfillset(&all);
              ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
              UnblockSignals();
              sigset_t now;
              ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
              return ::sigismember(&now, SIGCHLD) == 0 && ::sigismember(&now, SIGTERM) == 0;
            }),
            0);
}

TEST(ProcessStart, BlocksAllSignalsButFaultsUntilTheScopeEnds) {
  sigset_t before;
  sigset_t within;
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  {
    const SignalsBlocked blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &within);
  }
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(::sigismember(&within, SIGTERM), 1);
  EXPECT_EQ(::sigismember(&within, SIGSEGV), 0);
  for (const int signal : {SIGTERM, SIGCHLD, SIGSEGV})
    EXPECT_EQ(::sigismember(&before, signal), ::sigismember(&after, signal));
}

}  // namespace
}  // namespace raylet
