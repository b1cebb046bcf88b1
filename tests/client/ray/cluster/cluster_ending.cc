// A driver for tests: its threads are inside calls of ray:: when it ends. How and when it ends follows from a seed, its
// only argument. It runs on the daemons of RAY_ADDRESS, or with "local" as a second argument in local_mode. It exits
// with 0 where every call gave a value or a RayException, and with 1 where a call did not end or threw something else.
#include <ray/api.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr int kThreads = 8;
constexpr auto kPatience = 20s;

int Sleep(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return ms;
}
int Length(const std::string& text) { return static_cast<int>(text.size()); }
struct Sleeper {
  static Sleeper* Create() { return new Sleeper(); }
  int Sleep(int ms) { return ::Sleep(ms); }
};

// Shared with threads that go on while the program exits: never destroyed.
struct World {
  std::mt19937 random;
  std::vector<ray::ActorHandle<Sleeper>> actors;
  std::vector<ray::ObjectRef<int>> never_ready;
  int long_ms = 100'000;  // longer than the program
  std::atomic<int> ended{0};
  std::atomic<bool> wrong{false};
};
World& TheWorld() {
  static World* const world = new World();
  return *world;
}

void OneCall(std::mt19937& random) {
  World& world = TheWorld();
  const auto pick = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
  auto actor = world.actors[static_cast<size_t>(pick(static_cast<int>(world.actors.size())))];
  switch (pick(11)) {
    case 0: ray::Task(Sleep).Remote(pick(20)).Get(); return;
    case 1: ray::Task(Sleep).Remote(world.long_ms).Get(pick(50)); return;
    case 2: world.never_ready[0].Get(); return;
    case 3: ray::Wait(world.never_ready, 1, -1); return;
    case 4: actor.Task(&Sleeper::Sleep).Remote(pick(3)).Get(); return;
    case 5: {
      std::vector<ray::ObjectRef<int>> calls;
      for (int i = 0; i < 200; ++i) calls.push_back(actor.Task(&Sleeper::Sleep).Remote(0));
      ray::Get(calls);
      return;
    }
    case 6: ray::Put(std::string(static_cast<size_t>(pick(300'000)), 'x')).Get(); return;
    case 7: {
      auto own = ray::Actor(Sleeper::Create).Remote();
      own.Task(&Sleeper::Sleep).Remote(1).Get();
      return;
    }
    case 8: ray::Task(Length).Remote(ray::Put(std::string(200'000, 'y'))).Get(); return;
    case 9: ray::Task(Sleep).Remote(world.never_ready[0]); return;
    default: {
      auto array = ray::MutableArray<float>(1 + pick(100'000));
      array.data()[0] = 1;
      ray::Put(std::move(array)).Get();
      return;
    }
  }
}

// Calls until one throws because Ray has ended; or, where it is stubborn, for ever.
void CallOnAndOn(unsigned seed, bool stubborn) {
  std::mt19937 random(seed);
  for (;;) {
    try {
      OneCall(random);
    } catch (const ray::internal::RayTimeoutException&) {
    } catch (const ray::internal::RayException&) {
      if (!stubborn) break;
      std::this_thread::sleep_for(1ms);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "another exception: %s\n", e.what());
      TheWorld().wrong = true;
      break;
    }
  }
  ++TheWorld().ended;
}

int Main(unsigned seed, bool local) {
  ray::RayConfig config;
  config.local_mode = local;
  ray::Init(config);
  World& world = TheWorld();
  world.random.seed(seed);
  const auto pick = [&](unsigned below) { return world.random() % below; };
  for (int i = 0; i < 2; ++i) world.actors.push_back(ray::Actor(Sleeper::Create).Remote());
  if (local) world.long_ms = 300;  // its end waits for what has begun
  if (local)
    world.never_ready.push_back(world.actors[0].Task(&Sleeper::Sleep).Remote(world.long_ms));
  else
    world.never_ready.push_back(ray::Task(Sleep).SetResource("none", 1).Remote(1));
  const unsigned way = pick(5);
  const bool stubborn = way != 1 && pick(2) == 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(CallOnAndOn, static_cast<unsigned>(world.random()), stubborn);
  std::this_thread::sleep_for(std::chrono::microseconds(pick(60'000)));
  switch (way) {
    case 0: break;  // main returns
    case 1: {
      ray::Shutdown();
      const auto deadline = std::chrono::steady_clock::now() + kPatience;
      while (world.ended < kThreads && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
      if (world.ended < kThreads) {
        std::fprintf(stderr, "%d of %d threads have ended\n", world.ended.load(), kThreads);
        ::_exit(1);
      }
      break;
    }
    case 2: std::exit(0);
    case 3:
      std::thread([] { std::exit(0); }).detach();
      std::this_thread::sleep_for(kPatience);
      return 1;
    default:
      ray::Shutdown();
      ray::Init(config);
      std::this_thread::sleep_for(std::chrono::microseconds(pick(20'000)));
  }
  for (std::thread& thread : threads) thread.detach();
  return world.wrong ? 1 : 0;
}

}  // namespace

RAY_REMOTE(Sleep, Length, Sleeper::Create, &Sleeper::Sleep);

// Threads that live when the program ends are what is tested. The thread sanitizer takes them for leaks.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() {
  return "report_thread_leaks=0";
}

int main(int argc, char** argv) {
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  if (argc < 2) return 2;
  return Main(static_cast<unsigned>(std::atoi(argv[1])), argc > 2 && std::string(argv[2]) == "local");
}
