#include "client/plasma/fork_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <utility>

#include "base/unique_fd.h"

namespace raylet::client {
namespace {

// What `body` returns in a child of fork().
int InForkedChild(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST(ForkGuard, OnlyChildrenOfItsOwnerAreInAChild) {
  const ForkGuard guard;
  EXPECT_FALSE(guard.InChild());
  EXPECT_EQ(InForkedChild([&] { return guard.InChild() && !ForkGuard().InChild() ? 0 : 1; }), 0);
  EXPECT_FALSE(guard.InChild());
  EXPECT_EQ(ForkGuard::Refuse("/run/s").value().code, ErrorCode::kForked);
}

TEST(ForkGuard, RegisteredSocketEndsWithItsOwnerAlthoughAChildLivesOn) {
  int pair[2] = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  UniqueFd ours(pair[0]), theirs(pair[1]);
  int pipe_fds[2] = {};
  ASSERT_EQ(::pipe(pipe_fds), 0);
  UniqueFd read_end(pipe_fds[0]), write_end(pipe_fds[1]);
  ClosedInChildren first(ours.get());
  const ClosedInChildren closed(std::move(first));
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    ::close(write_end.Release());
    ::_exit(::read(read_end.get(), &byte, 1) == 0 ? 0 : 1);  // lives until the parent closes the pipe
  }
  ours.Reset();
  char byte = 0;
  EXPECT_EQ(::recv(theirs.get(), &byte, 1, 0), 0);  // the end: the child's copy does not keep it open
  write_end.Reset();
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(ForkGuard, DescriptorThatIsNoLongerRegisteredStaysOpenInChildren) {
  UniqueFd fd(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  { const ClosedInChildren closed(fd.get()); }
  EXPECT_EQ(InForkedChild([&] {
              char byte = 0;
              return ::read(fd.get(), &byte, 1) == 1 ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace raylet::client
