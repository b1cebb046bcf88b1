// The checks and repairs that a process makes before it opens or starts anything. It may have
// inherited closed descriptors (a shell's `<&- >&-`) or a signal mask. Called from main, from
// ray::Init and by clients that connect.
#pragma once

#include <signal.h>

#include <string>

#include "base/result.h"

namespace raylet {

// Opens /dev/null where descriptor 0, 1 or 2 is closed. Otherwise a socket or an arena could get
// that number, and the next printed line would be written into it.
void OpenStandardDescriptors();

// Unblocks all signals: a daemon that inherited a blocked SIGCHLD would never hear of a worker's
// end.
void UnblockSignals();

// kInvalid unless `fd`, given with `flag`, is open and can be waited for, as a pipe or a socket
// can.
Result<void> CheckWatchable(const std::string& flag, int fd);

// While it lives, new threads take no signals but those of their own faults. The other signals
// belong to the program's threads, which may have blocked one in order to wait for it.
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace raylet
