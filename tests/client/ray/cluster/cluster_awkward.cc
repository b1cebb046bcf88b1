// For tests: a driver that begins or lives in an unusual way, named by its first argument. Exits with 0 if ray:: works
// all the same. Otherwise it says on stderr what went wrong and exits with 1.
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "tests/client/ray/api/earlier_session.h"
#include "tests/client/ray/cluster/cluster_functions.h"

namespace cluster_test {

int SayAndDie(const std::string& words) {
  std::puts(words.c_str());
  std::fflush(stdout);
  ::_exit(3);
}
RAY_REMOTE(SayAndDie);

namespace {

int Complain(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  return 1;
}

// A worker's death is reported although the program that started the daemons blocks all signals, SIGCHLD included.
int BlockedSignals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  ray::Init();
  try {
    ray::Task(DieWithSignal).Remote(SIGSEGV).Get(20'000);
    return Complain("a task that died gave a result");
  } catch (const ray::internal::RayWorkerException&) {
    return 0;
  }
}

// A signal that only the main thread unblocks, or waits for, reaches no thread of ours.
int OwnSignals() {
  ray::Init();
  auto counter = ray::Actor(Counter::Create).Remote(1);
  counter.Task(&Counter::Sleep).Remote(1).Get();
  sigset_t hangup;
  ::sigemptyset(&hangup);
  ::sigaddset(&hangup, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &hangup, nullptr);  // after Init, which has started threads
  ::kill(::getpid(), SIGHUP);
  const timespec patience{20, 0};
  return ::sigtimedwait(&hangup, nullptr, &patience) == SIGHUP ? 0 : Complain("SIGHUP did not come");
}

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

int InitAndShutdownAgain() {
  size_t before = 0;
  for (int cycle = 0; cycle < 3; ++cycle) {
    ray::Init();
    const auto value = ray::Put(std::string(300'000, 'x'));
    if (*ray::Task(Length).Remote(value).Get() != 300'000) return Complain("a wrong length");
    ray::Shutdown();
    if (cycle == 0) before = OpenDescriptors();
  }
  const size_t after = OpenDescriptors();
  return after == before ? 0 : Complain(std::to_string(before) + " descriptors became " + std::to_string(after));
}

// Prints, as programs do: where descriptor 1 was closed, into no socket and no segment.
int Printing() {
  ray::Init();
  for (int i = 0; i < 20; ++i) {
    std::printf("%d\n", i);
    std::fflush(stdout);
    std::fprintf(stderr, "%d\n", i);
    const auto sum = ray::Task(Add).Remote(i, 1);
    if (*sum.Get() != i + 1 || *ray::Task(SumOfRefs).Remote(std::vector{sum, ray::Put(1)}).Get() != i + 2) return 1;
  }
  return 0;
}

// Workers run the file that this program runs, not the file at its path by now.
int Moved() {
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe");
  ray::Init();
  std::filesystem::rename(here, here.string() + ".moved");
  if (*ray::Task(Add).Remote(1, 2).Get() != 3) return Complain("a wrong sum");
  std::filesystem::copy_file("/bin/false", here);
  auto counter = ray::Actor(Counter::Create).Remote(1);
  return *counter.Task(&Counter::Increment).Remote(1).Get() == 2 ? 0 : Complain("a wrong count");
}

// The logs of private daemons go with the program, so the exception has a worker's last output.
int LastWords() {
  ray::Init();
  try {
    ray::Task(SayAndDie).SetMaxRetries(0).Remote(std::string("out of cheese")).Get();
  } catch (const ray::internal::RayWorkerException& e) {
    return e.hint().ends_with("and ends with:\nout of cheese") ? 0 : Complain(e.what());
  }
  return Complain("a task that died gave a result");
}

// Of two sessions on daemons, and of one in process and one on daemons.
int EarlierSessions() {
  ray::RayConfig local;
  local.local_mode = true;
  const auto renew = [](const ray::RayConfig& one, const ray::RayConfig& other) {
    ray::Init(one);
    earlier_session::Things things;
    ray::Shutdown();
    ray::Init(other);
    things.ExpectRefused();
    things.ExpectNewOnesWork();
    ray::Shutdown();
  };
  renew({}, {});
  renew(local, {});
  renew({}, local);
  return ::testing::Test::HasFailure() ? Complain("see above") : 0;
}

// As a program gives them that was written for Ray.
int HeadArgsOfRay() {
  ray::RayConfig config;
  config.head_args = {"--num-cpus",
                      "2",
                      "--resources",
                      "{\"disk\": 1}",
                      "--num-gpus",
                      "2",
                      "--include-dashboard",
                      "false",
                      "--memory=1",
                      "--block",
                      "--temp-dir",
                      "/nowhere",
                      "--object-store-memory",
                      "67108864"};
  ray::Init(config);
  const auto on_gpu = ray::Task(Add).SetResource("GPU", 2).Remote(1, 2);
  const auto on_disk = ray::Task(Add).SetResource("disk", 1).Remote(3, 4);
  return *on_gpu.Get(20'000) == 3 && *on_disk.Get(20'000) == 7 ? 0 : Complain("a wrong sum");
}

int Run(const std::string& way) {
  if (way == "earlier sessions") return EarlierSessions();
  if (way == "head args") return HeadArgsOfRay();
  if (way == "moved") return Moved();
  if (way == "last words") return LastWords();
  if (way == "blocked signals") return BlockedSignals();
  if (way == "own signals") return OwnSignals();
  if (way == "init and shutdown again") return InitAndShutdownAgain();
  if (way == "printing") return Printing();
  return Complain("no such way: " + way);
}

}  // namespace
}  // namespace cluster_test

int main(int argc, char** argv) {
  const std::string way = argc > 1 ? argv[1] : "";
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  try {
    return cluster_test::Run(way);
  } catch (const std::exception& e) {
    return cluster_test::Complain(e.what());
  }
}
