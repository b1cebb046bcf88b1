#include "base/stop_signals.h"

#include <pthread.h>

#include <csignal>

namespace raylet {

StopSignals::StopSignals(Loop& loop)
    : terminate_(loop, SIGTERM, [this] { stop_(); }), interrupt_(loop, SIGINT, [this] { stop_(); }) {}

StopSignals::~StopSignals() {
  sigset_t both;
  sigemptyset(&both);
  sigaddset(&both, SIGTERM);
  sigaddset(&both, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &both, nullptr);
}

}  // namespace raylet
