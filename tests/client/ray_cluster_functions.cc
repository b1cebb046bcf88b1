#include "tests/client/ray_cluster_functions.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

namespace cluster_test {

int WorkerPid() { return ::getpid(); }
int DieWithSignal(int signal) {
  ::kill(::getpid(), signal);
  return SleepMs(10'000);
}
int SleepMs(int ms) {
  const timespec pause{ms / 1000, (ms % 1000) * 1'000'000L};
  ::nanosleep(&pause, nullptr);
  return ms;
}
int NestedSum(int depth) {
  if (depth == 0) return 1;
  return 1 + *ray::Task(NestedSum).Remote(depth - 1).Get();
}
int SumOfRefs(const std::vector<ray::ObjectRef<int>>& refs) {
  int sum = 0;
  for (const auto& ref : refs) sum += *ref.Get();
  return sum;
}
ray::Array<float> Ramp(int count) {
  ray::MutableArray<float> array(count);
  for (int i = 0; i < count; ++i) array[static_cast<size_t>(i)] = static_cast<float>(i);
  return array;
}
float SumArray(const ray::Array<float>& array) {
  float sum = 0;
  for (const float value : array) sum += value;
  return sum;
}
int Counter::Pid() const { return ::getpid(); }
void Publisher::Publish(int value) {
  ray::MutableArray<float> next(count_);
  for (float& each : next) each = static_cast<float>(value);
  current_ = std::move(next).Seal();
}
int CallThrough(ray::ActorHandle<Counter> counter, int by) {
  return *counter.Task(&Counter::Increment).Remote(by).Get();
}

RAY_REMOTE(Add, Repeat, Length, ThrowTask, Nothing, WorkerPid, DieWithSignal, SleepMs, NestedSum, SumOfRefs, Ramp,
           SumArray);
RAY_REMOTE(Counter::Create, Counter::Broken, &Counter::Increment, &Counter::Value, &Counter::Pid, &Counter::Throw,
           &Counter::Sleep, &Counter::Echo, &Counter::Log, &Counter::Append, &Counter::Exit);
RAY_REMOTE(Publisher::Create, &Publisher::Current, &Publisher::Publish, &Publisher::Take, &Publisher::Drop,
           &Publisher::Kept, CallThrough);

}  // namespace cluster_test
