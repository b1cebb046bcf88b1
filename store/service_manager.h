// ServiceManager: tells systemd that a daemon is ready, lives, and stops (sd_notify's protocol: datagrams to the socket
// that NOTIFY_SOCKET names). main owns it; the loop's thread only. Does nothing where no service manager asks for it.
// Always holds: no send blocks. A message that cannot be sent is dropped, and the log says so once.
#pragma once

#include <set>
#include <string>

#include "base/clock.h"
#include "base/loop.h"
#include "base/unique_fd.h"

namespace raylet::store {

// The value of a variable of the environment, which it takes out: it is for this process alone. Empty: there was none.
std::string TakeVariable(const char* name);

class ServiceManager {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment, and takes them out of it: a child must
  // not speak for the daemon.
  ServiceManager();

  // Ready; `status` is a line for people. From now on the loop also says that it lives, twice in each of the watchdog's
  // periods: a loop that hangs is ended and started anew.
  void Ready(Loop& loop, const std::string& status);
  // Stopping, for good: what is stored goes.
  void Stopping();
  // The manager keeps the descriptor over the death of this process and its parent, until Remove. It hands it to the
  // process that it starts then (store/stored_fds.h).
  void Store(const std::string& name, int fd);
  void Remove(const std::string& name);
  bool present() const { return static_cast<bool>(socket_); }

 private:
  void Tell(const std::string& message, int fd = -1);

  std::string address_;
  UniqueFd socket_;
  Duration watchdog_{};  // zero: none
  bool complained_ = false;
  std::set<std::string> stored_;
  Timer alive_;
};

}  // namespace raylet::store
