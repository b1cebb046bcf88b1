// A driver for tests that kill one or look at one. On the daemons of RAY_ADDRESS it keeps an actor, a
// running task, values and arrays, prints the pids of its workers, and waits to be killed. With "idle"
// it keeps an idle actor and an idle worker. With "waiting" it and a worker sit in Get, another in Wait.
#include <unistd.h>

#include <cstdio>

#include "tests/client/ray/cluster/cluster_functions.h"

int main(int argc, char** argv) {
  using namespace cluster_test;
  ray::Init();
  const std::string mode = argc > 1 ? argv[1] : "";
  auto counter = ray::Actor(Counter::Create).Remote(1);
  const int actor_pid = *counter.Task(&Counter::Pid).Remote().Get();
  auto publisher = ray::Actor(Publisher::Create).Remote(1000);
  const auto version = *publisher.Task(&Publisher::Current).Remote().Get();
  const int worker_pid = *ray::Task(WorkerPid).Remote().Get();
  if (!mode.empty()) {
    ray::ObjectRef<int> endless;
    ray::ObjectRef<int> endless_in_a_worker;
    ray::ObjectRef<int> endless_wait;  // for an object of another process
    auto signal = ray::Actor(Counter::Create).Remote(0);
    if (mode == "waiting") {
      endless_in_a_worker = ray::Task(SleepThrough).Remote(counter, signal, 60'000);
      while (*signal.Task(&Counter::Value).Remote().Get() == 0) {}
      endless = counter.Task(&Counter::Sleep).Remote(60'000);
      endless_wait = ray::Task(WaitThrough).Remote(std::vector{endless}, signal, 60'000);
      while (*signal.Task(&Counter::Value).Remote().Get() == 1) {}
    }
    std::printf("pids %d %d\n", actor_pid, worker_pid);
    std::fflush(stdout);
    if (mode == "waiting") endless.Get();
    for (;;) ::pause();
  }
  const auto sleeping = ray::Task(StubbornSleep).Remote(60'000);
  const auto value = ray::Put(std::string(300'000, 'x'));
  const auto array = ray::Array<float>::CopyOf(std::vector<float>(10'000, 1));
  const ray::MutableArray<float> unsealed(10'000);
  std::printf("pids %d %d\n", actor_pid, worker_pid);
  std::fflush(stdout);
  for (;;) ::pause();
}
