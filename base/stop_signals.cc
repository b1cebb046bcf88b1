#include "base/stop_signals.h"

#include <poll.h>
#include <pthread.h>

#include <csignal>

namespace raylet {
namespace {

// The thread sanitizer keeps signals in a record that it makes at a thread's first blocking call. A signal that comes
// while it makes that record is lost. So the record is made before the first handler.
Loop& ReadyForSignals(Loop& loop) {
#ifdef RAYLET_SANITIZED
  ::poll(nullptr, 0, 0);
#endif
  return loop;
}

}  // namespace

StopSignals::StopSignals(Loop& loop)
    : terminate_(ReadyForSignals(loop), SIGTERM, [this] { stop_(); }), interrupt_(loop, SIGINT, [this] { stop_(); }) {}

StopSignals::~StopSignals() {
  sigset_t both;
  sigemptyset(&both);
  sigaddset(&both, SIGTERM);
  sigaddset(&both, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &both, nullptr);
}

}  // namespace raylet
