// A driver for tests. It repeats one thing on the daemons of RAY_ADDRESS, and prints how many bytes its heap has grown
// each time. Arguments: what ("pairs" of Init and Shutdown, "actors" that die, "objects"), how often to warm up, and
// how often to measure.
#include <malloc.h>
#include <ray/api.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
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

}  // namespace

RAY_REMOTE(Short::Create, &Short::One, One);

int main(int argc, char** argv) {
  ::mallopt(M_ARENA_MAX, 1);  // mallinfo2 counts the first arena alone
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  if (argc != 4) return 2;
  const std::string what = argv[1];
  const std::function<void()> again = what == "pairs" ? Pair : what == "actors" ? Actor : Object;
  if (what != "pairs") ray::Init();
  for (int i = 0; i < std::atoi(argv[2]); ++i) again();
  const size_t bytes = ::mallinfo2().uordblks;
  const long mappings = Mappings();
  const int times = std::atoi(argv[3]);
  for (int i = 0; i < times; ++i) again();
  const auto grown = static_cast<double>(::mallinfo2().uordblks) - static_cast<double>(bytes);
  std::printf("bytes each: %.1f\nmappings: %ld\n", grown / times, Mappings() - mappings);
  return 0;
}
