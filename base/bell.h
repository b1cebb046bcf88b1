// Bell: what one end of a channel rings to wake the other end. A process parks at a doorbell in
// shared memory; a daemon waits for an eventfd. Any thread.
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
  // A new eventfd, for OfEvent on the other side. Both ends are the same object. Never blocks.
  static Result<UniqueFd> NewEvent();

  // Call it after writing for the other end. Makes a system call only where that end sleeps or is a
  // daemon.
  void Ring() const;

 private:
  explicit Bell(UniqueFd event) : event_(std::move(event)) {}

  Mapping doorbell_;
  UniqueFd event_;
};

}  // namespace raylet
