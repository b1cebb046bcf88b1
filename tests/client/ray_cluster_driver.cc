// A driver for tests that kill one: on the daemons of RAY_ADDRESS it keeps an actor, a running task, values and arrays,
// prints the pids of its workers, and waits to be killed.
#include <unistd.h>

#include <cstdio>

#include "tests/client/ray_cluster_functions.h"

int main() {
  using namespace cluster_test;
  ray::Init();
  auto counter = ray::Actor(Counter::Create).Remote(1);
  const int actor_pid = *counter.Task(&Counter::Pid).Remote().Get();
  auto publisher = ray::Actor(Publisher::Create).Remote(1000);
  const auto version = *publisher.Task(&Publisher::Current).Remote().Get();
  const int worker_pid = *ray::Task(WorkerPid).Remote().Get();
  const auto sleeping = ray::Task(SleepMs).Remote(60'000);
  const auto value = ray::Put(std::string(300'000, 'x'));
  const auto array = ray::Array<float>::CopyOf(std::vector<float>(10'000, 1));
  const ray::MutableArray<float> unsealed(10'000);
  std::printf("pids %d %d\n", actor_pid, worker_pid);
  std::fflush(stdout);
  for (;;) ::pause();
}
