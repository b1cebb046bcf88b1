// A program for tests. It repeats one thing on the daemons of RAY_ADDRESS, and prints how many bytes its heap has grown
// each time. Arguments: what ("pairs" of Init and Shutdown, "actors" that die, "objects"), how often to warm up, and
// how often to measure. With a fourth argument, "worker", an actor of the program repeats it and measures its own heap.
// "calls" are calls of that actor.
//
// It measures at most three times and prints the least growth. What is left behind grows each time, whereas a table
// that doubles grows once.
#include <malloc.h>
#include <ray/api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <limits>
#include <string>

namespace {

struct Short {
  static Short* Create() { return new Short(); }
  int One() { return 1; }
};
int One() { return 1; }

void Pair() {
  ray::Init();
  const auto value = ray::Put(std::string(1'000, 'x'));
  value.Get();
  ray::Shutdown();
}

void Actor() {
  auto actor = ray::Actor(Short::Create).Remote();
  actor.Task(&Short::One).Remote().Get();
  actor.Kill();
  try {
    for (;;) actor.Task(&Short::One).Remote().Get();
  } catch (const ray::internal::RayActorException&) {
    return;  // it is dead
  }
}

void Object() { ray::Task(One).Remote().Get(); }

long Mappings() {
  std::ifstream maps("/proc/self/maps");
  long count = 0;
  for (std::string line; std::getline(maps, line);) ++count;
  return count;
}

struct Size {
  double bytes = static_cast<double>(::mallinfo2().uordblks);
  long mappings = Mappings();
  MSGPACK_DEFINE(bytes, mappings)
};

// The size after `times` times.
Size After(const std::string& what, int times) {
  const std::function<void()> again = what == "pairs" ? Pair : what == "actors" ? Actor : Object;
  for (int i = 0; i < times; ++i) again();
  return {};
}

struct Worker {
  static Worker* Create() { return new Worker(); }
  Size Repeat(const std::string& what, int times) { return After(what, times); }
  int One() { return 1; }
};

// The same where an actor repeats it, or is called.
Size OfWorker(ray::ActorHandle<Worker>& worker, const std::string& what, int times) {
  if (what != "calls") return *worker.Task(&Worker::Repeat).Remote(what, times).Get();
  for (int i = 0; i < times; ++i) worker.Task(&Worker::One).Remote().Get();
  return *worker.Task(&Worker::Repeat).Remote(what, 0).Get();
}

}  // namespace

RAY_REMOTE(Short::Create, &Short::One, One, Worker::Create, &Worker::Repeat, &Worker::One);

int main(int argc, char** argv) {
  ::mallopt(M_ARENA_MAX, 1);  // mallinfo2 counts the first arena alone
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  if (argc != 4 && argc != 5) return 2;
  const std::string what = argv[1];
  const int warm_up = std::atoi(argv[2]), times = std::atoi(argv[3]);
  if (what != "pairs") ray::Init();
  std::function<Size(int)> repeat = [&](int count) { return After(what, count); };
  if (argc == 5)
    repeat = [&, worker = ray::Actor(Worker::Create).Remote()](int count) mutable {
      return OfWorker(worker, what, count);
    };
  double bytes = std::numeric_limits<double>::max();
  long mappings = std::numeric_limits<long>::max();
  Size before = repeat(warm_up);
  for (int i = 0; i < 3 && (bytes > 0 || mappings > 0); ++i) {
    const Size after = repeat(times);
    bytes = std::min(bytes, after.bytes - before.bytes);
    mappings = std::min(mappings, after.mappings - before.mappings);
    before = after;
  }
  std::printf("bytes each: %.1f\nmappings: %ld\n", bytes / times, mappings);
  return 0;
}
