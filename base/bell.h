// Bell: what one end of a channel rings for the other: a doorbell in shared memory where the other end is a process
// that parks there, or an eventfd where it is a daemon that waits for descriptors. Any thread.
#pragma once

#include "base/result.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"
#include "base/waiter.h"

namespace raylet {

class Bell {
 public:
  Bell() = default;
  static Result<Bell> OfDoorbell(int fd);  // a memfd with a Doorbell at its start
  static Bell OfEvent(UniqueFd eventfd) { return Bell(std::move(eventfd)); }
  // A new eventfd, for OfEvent on the other side: both ends are the same object. Never blocks.
  static Result<UniqueFd> NewEvent();

  // After what was written for the other end. A system call only where it sleeps, or is a daemon.
  void Ring() const;

 private:
  explicit Bell(UniqueFd event) : event_(std::move(event)) {}

  Mapping doorbell_;
  UniqueFd event_;
};

}  // namespace raylet
