#include "base/process_start.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "base/strings.h"
#include "base/unique_fd.h"

namespace raylet {

void OpenStandardDescriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number. It is this one, unless another thread was quicker and took it. Not
    // close-on-exec: the programs that this process starts need it too.
    const int opened = ::open("/dev/null", O_RDWR);
    if (opened > 2) ::close(opened);
  }
}

void UnblockSignals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

Result<void> CheckWatchable(const std::string& flag, int fd) {
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return FailErrno("cannot wait for descriptors", errno);
  epoll_event event{};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return Fail(ErrorCode::kInvalid,
              StrCat(flag, " ", fd, " cannot be waited for (", std::strerror(errno), "): pass an open pipe or socket"));
}

SignalsBlocked::SignalsBlocked() {
  sigset_t all;
  ::sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) ::sigdelset(&all, fault);
  ::pthread_sigmask(SIG_BLOCK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

}  // namespace raylet
