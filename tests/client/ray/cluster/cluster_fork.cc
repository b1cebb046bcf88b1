// A driver for tests: it forks while its other threads are inside calls of ray:: and plasma::. Each child makes every
// call once, must hear at once that it was forked, and exits. Arguments: the store's socket and the number of forks.
#include <plasma/client.h>
#include <ray/api.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace {

using namespace std::chrono_literals;

int Twice(int n) { return 2 * n; }
struct Echo {
  static Echo* Create() { return new Echo(); }
  int Say(int n) { return n; }
};

// The objects that the threads and the children use.
struct Shared {
  plasma::PlasmaClient store;
  plasma::ObjectID sealed = plasma::ObjectID::from_random();
  ray::ActorHandle<Echo> actor;
  ray::ObjectRef<std::string> stored;
  ray::ObjectRef<int> small;
  ray::ObjectRef<ray::Array<float>> array;
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
};

void Hammer(Shared& shared, int which) {
  while (!shared.stop) {
    try {
      switch (which % 5) {
        case 0: ray::Put(std::string(100'000, 'x')).Get(); break;
        case 1: shared.actor.Task(&Echo::Say).Remote(1).Get(); break;
        case 2: ray::Task(Twice).Remote(1).Get(); break;
        case 3: {
          const auto id = plasma::ObjectID::from_random();
          if (!shared.store.CreateAndSeal(id, "data", "").ok() || !shared.store.Delete(id).ok()) ++shared.failures;
          break;
        }
        default: {
          std::vector<plasma::ObjectBuffer> buffers;
          if (!shared.store.Get({shared.sealed}, 0, &buffers).ok() || buffers[0].data == nullptr) ++shared.failures;
          shared.stored.Get();
        }
      }
    } catch (const std::exception& e) {
      std::fprintf(stderr, "the parent: %s\n", e.what());
      ++shared.failures;
    }
  }
}

// Whether the call says that this process was forked.
template <class Call>
bool Refused(const char* name, Call call) {
  try {
    call();
  } catch (const ray::internal::RayException& e) {
    if (std::string(e.what()).find("forked") != std::string::npos) return true;
    std::fprintf(stderr, "%s: %s\n", name, e.what());
    return false;
  }
  std::fprintf(stderr, "%s went through in a child\n", name);
  return false;
}
bool Forked(const char* name, const plasma::Status& status) {
  if (status.code() == plasma::StatusCode::ForkedClient) return true;
  std::fprintf(stderr, "%s: %s\n", name, status.ToString().c_str());
  return false;
}

// The exit code of a child.
int EachCall(Shared& shared, const ray::Array<float>& held, const plasma::ObjectBuffer& buffer) {
  bool good = true;
  good &= Refused("Init", [] { ray::Init(); });
  good &= Refused("Put", [] { ray::Put(1); });
  good &= Refused("Get", [&] { shared.small.Get(); });
  good &= Refused("Get of a stored value", [&] { shared.stored.Get(0); });
  good &= Refused("Get of several", [&] { ray::Get(std::vector{shared.small, shared.small}); });
  good &= Refused("Wait", [&] { ray::Wait(std::vector{shared.small}, 1, 0); });
  good &= Refused("Task", [] { ray::Task(Twice).Remote(1); });
  good &= Refused("Actor", [] { ray::Actor(Echo::Create).Remote(); });
  good &= Refused("GetActor", [] { ray::GetActor<Echo>("nobody"); });
  good &= Refused("a call", [&] { shared.actor.Task(&Echo::Say).Remote(1); });
  good &= Refused("Kill", [&] { shared.actor.Kill(); });
  good &= Refused("ID", [&] { shared.small.ID(); });
  good &= Refused("a reference by its id", [] { ray::ObjectRef<int> ref(std::string(20, 'i')); });
  good &= Refused("MutableArray", [] { ray::MutableArray<float> array(2); });
  good &= Refused("GetNamespace", [] { ray::GetNamespace(); });
  good &= !ray::IsInitialized();
  ray::Shutdown();  // does nothing

  plasma::PlasmaClient& store = shared.store;
  const auto id = plasma::ObjectID::from_random();
  std::shared_ptr<plasma::Buffer> made;
  std::vector<plasma::ObjectBuffer> buffers;
  plasma::ObjectTable table;
  bool has = false;
  uint8_t digest[8];
  int64_t evicted = 0;
  good &= Forked("Connect", store.Connect("/nowhere", "", 0, 0));
  good &= Forked("Create", store.Create(id, 1, nullptr, 0, &made));
  good &= Forked("Seal", store.Seal(id));
  good &= Forked("Abort", store.Abort(id));
  good &= Forked("CreateAndSeal", store.CreateAndSeal(id, "x", ""));
  good &= Forked("CreateWriter", store.CreateWriter(id, 1, {}, 0).status());
  good &= Forked("Get", store.Get({shared.sealed}, 0, &buffers));
  good &= Forked("GetView", store.GetView(shared.sealed, 0).status());
  good &= Forked("Release", store.Release(shared.sealed));
  good &= Forked("Contains", store.Contains(shared.sealed, &has));
  good &= Forked("List", store.List(&table));
  good &= Forked("Hash", store.Hash(shared.sealed, digest));
  good &= Forked("Delete", store.Delete(shared.sealed));
  good &= Forked("Evict", store.Evict(1, evicted));
  good &= Forked("Refresh", store.Refresh({shared.sealed}));
  good &= Forked("Disconnect", store.Disconnect());
  // Objects that the parent holds can still be read.
  good &= held[1] == 1.5F && buffer.data->data()[0] == 's';
  return good ? 0 : 1;
}

// 0 where the child ended by itself. It makes some forty calls, and none of them waits.
int Collect(pid_t child, const char* what) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      std::fprintf(stderr, "%s %d hangs\n", what, child);
      if (std::getenv("RAYLET_FORK_KEEP") != nullptr) ::pause();  // for a debugger
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return 1;
    }
    std::this_thread::sleep_for(200us);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  std::fprintf(stderr, "%s %d ended with status %x\n", what, child, static_cast<unsigned>(status));
  return 1;
}

int OtherWaysToStartPrograms() {
  int wrong = std::system("exit 7") == 7 << 8 ? 0 : 1;
  FILE* const pipe = ::popen("echo popen", "r");
  char line[16] = "";
  if (pipe == nullptr || std::fgets(line, sizeof line, pipe) == nullptr || std::string(line) != "popen\n") ++wrong;
  if (pipe != nullptr) ::pclose(pipe);
  char name[] = "true";
  char* arguments[] = {name, nullptr};
  pid_t pid = 0;
  if (::posix_spawnp(&pid, "true", nullptr, nullptr, arguments, environ) != 0) return wrong + 1;
  return wrong + Collect(pid, "a spawned program");
}

int Main(const char* store_socket, int forks) {
  ray::Init();
  auto* const shared = new Shared();
  if (!shared->store.Connect(store_socket, "", 0, 0).ok()) return 1;
  if (!shared->store.CreateAndSeal(shared->sealed, "sealed", "").ok()) return 1;
  shared->actor = ray::Actor(Echo::Create).Remote();
  shared->stored = ray::Put(std::string(100'000, 's'));
  shared->small = ray::Put(7);
  ray::MutableArray<float> values(2);
  values.data()[1] = 1.5F;
  shared->array = ray::Put(std::move(values));
  const ray::Array<float> held = *shared->array.Get();
  std::vector<plasma::ObjectBuffer> buffers;
  if (!shared->store.Get({shared->sealed}, 0, &buffers).ok()) return 1;

  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i) threads.emplace_back(Hammer, std::ref(*shared), i);
  int wrong = 0;
  for (int i = 0; i < forks && wrong == 0; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      const int code = EachCall(*shared, held, buffers[0]);
      // Half of them run destructors: of static objects, and of what the parent holds.
      if (i % 2 == 0) ::_exit(code);
      shared->array = {};
      shared->stored = {};
      shared->actor = {};
      delete shared;
      buffers.clear();
      std::exit(code);
    }
    wrong += Collect(child, "child");
    if (i % 20 == 0) wrong += OtherWaysToStartPrograms();
  }
  shared->stop = true;
  for (std::thread& thread : threads) thread.join();
  // The parent is unharmed.
  if (*shared->actor.Task(&Echo::Say).Remote(3).Get() != 3 || shared->stored.Get()->size() != 100'000) ++wrong;
  return wrong + shared->failures == 0 ? 0 : 1;
}

}  // namespace

RAY_REMOTE(Twice, Echo::Create, &Echo::Say);

int main(int argc, char** argv) {
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  return argc == 3 ? Main(argv[1], std::atoi(argv[2])) : 2;
}
