// Functions and an actor that tell which CUDA_VISIBLE_DEVICES user code finds.
#pragma once

#include <ray/api.h>

#include <string>

#include "tests/client/ray/cluster/cluster_functions.h"

namespace cluster_test {

std::string Gpus();  // "0,1"; "unset" where the variable is not there
// Those of this task, once `count` of such tasks run side by side; "alone" when they do not.
std::string GpusBeside(ray::ActorHandle<Counter> signal, int count);
// Waits in Get for a task that asks for one GPU: this task's GPUs before, those of the other task, and this task's
// afterwards.
std::vector<std::string> GpusAroundATask();

class GpuUser {
 public:
  static GpuUser* Create() { return new GpuUser(); }
  std::string InConstructor() const { return in_constructor_; }
  std::string Now() const { return Gpus(); }
  bool Restarted() const { return ray::WasCurrentActorRestarted(); }

 private:
  const std::string in_constructor_ = Gpus();
};

}  // namespace cluster_test
