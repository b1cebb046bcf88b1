// A driver for tests whose work cannot go on. Its first argument names the reason. It runs on the daemons of
// RAY_ADDRESS until the test ends it.
#include <ray/api.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

int One() { return 1; }
struct Idle {
  static Idle* Create() { return new Idle(); }
  int One() { return 1; }
};

}  // namespace

RAY_REMOTE(One, Idle::Create, &Idle::One);

int main(int argc, char** argv) {
  ray::Init();
  const std::string why = argc > 1 ? argv[1] : "";
  std::vector<ray::ObjectRef<int>> tasks;
  std::vector<ray::ActorHandle<Idle>> actors;
  const auto submit = [&](const std::string& resource, int count) {
    for (int i = 0; i < count; ++i) tasks.push_back(ray::Task(One).SetResource(resource, 2).Remote());
  };
  if (why == "resource") {
    submit("none", 12);
    // If the first cause were told twice, that would have happened before the second cause is told.
    while (ray::Wait(tasks, 1, 4'000).ready.empty() && tasks.size() < 13) submit("nothing", 1);
  } else if (why == "pool") {
    for (int i = 0; i < 4; ++i) actors.push_back(ray::Actor(Idle::Create).Remote());
    tasks.push_back(ray::Task(One).Remote());
  } else if (why == "elsewhere") {
    for (int i = 0; i < 4; ++i) actors.push_back(ray::Actor(Idle::Create).SetResource("there", 1).Remote());
  } else {
    return 2;
  }
  ray::Wait(tasks, static_cast<int>(tasks.size()), 60'000);
  for (;;) ::pause();
}
