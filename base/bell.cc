#include "base/bell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace raylet {

Result<Bell> Bell::OfDoorbell(int fd) {
  auto memory = Mapping::Map(fd, sizeof(Doorbell), Mapping::Access::kReadWrite);
  if (!memory) return Fail(std::move(memory).error());
  Bell bell;
  bell.doorbell_ = *std::move(memory);
  return bell;
}

Result<UniqueFd> Bell::NewEvent() {
  UniqueFd fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!fd) return FailErrno("an eventfd for a channel's bell", errno);
  return fd;
}

void Bell::Ring() const {
  if (doorbell_) {
    raylet::Ring(*doorbell_.As<Doorbell>());
    return;
  }
  const uint64_t one = 1;
  // EAGAIN: the counter is full of rings that the other end has not read. One more changes nothing.
  while (::write(event_.get(), &one, sizeof one) < 0 && errno == EINTR) {}
}

}  // namespace raylet
