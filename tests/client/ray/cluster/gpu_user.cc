#include "tests/client/ray/cluster/gpu_user.h"

#include <cstdlib>

namespace cluster_test {

std::string Gpus() {
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible == nullptr ? "unset" : visible;
}

std::string GpusBeside(ray::ActorHandle<Counter> signal, int count) {
  return MeetAnother(signal, count) ? Gpus() : "alone";
}

std::vector<std::string> GpusAroundATask() {
  const std::string before = Gpus();
  const std::string others = *ray::Task(Gpus).SetResource("GPU", 1).Remote().Get();
  return {before, others, Gpus()};
}

RAY_REMOTE(Gpus, GpusBeside, GpusAroundATask, GpuUser::Create, &GpuUser::InConstructor, &GpuUser::Now,
           &GpuUser::Restarted);

}  // namespace cluster_test
