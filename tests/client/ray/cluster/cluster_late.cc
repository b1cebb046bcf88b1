// A driver for tests of results that nobody takes, on the daemons of RAY_ADDRESS. It submits COUNT tasks that return
// BYTES each and ask for one of RESOURCE, and says "submitted". It does nothing until there is a file GO. Then it gets
// every result, and says how many of them were right, or what was thrown. With "actor:NAME" for the resource it makes
// the calls of one actor instead, which asks for the resource NAME, and first says that one's process. With a further
// argument the tasks wait until there is a file of that name.
#include <ray/api.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "tests/harness/await_file.h"

namespace {

constexpr const char* kBegin = "CLUSTER_LATE_BEGIN";  // workers have the driver's environment

std::string Numbered(int number, size_t bytes) {
  static const char* const begin = std::getenv(kBegin);
  if (begin != nullptr) raylet::test::AwaitFile(begin);
  std::string text = std::to_string(number);
  text.resize(bytes, 'x');
  return text;
}

}  // namespace

class Clerk {
 public:
  static Clerk* Create() { return new Clerk(); }
  int Process() { return ::getpid(); }
  std::string Number(int number, size_t bytes) { return Numbered(number, bytes); }
};

RAY_REMOTE(Numbered, Clerk::Create, &Clerk::Process, &Clerk::Number);

int main(int argc, char** argv) {
  if (argc == 6) ::setenv(kBegin, argv[5], 1);
  ray::Init();
  if (argc != 5 && argc != 6) return 2;
  const int count = std::atoi(argv[1]);
  const auto bytes = static_cast<size_t>(std::atoll(argv[2]));
  std::vector<ray::ObjectRef<std::string>> results;
  results.reserve(static_cast<size_t>(count));
  std::optional<ray::ActorHandle<Clerk>> clerk;  // kept: an actor whose handles have gone ends after its last call
  const std::string resource = argv[4];
  if (resource.starts_with("actor:")) {
    clerk = ray::Actor(Clerk::Create).SetResource(resource.substr(6), 1).Remote();
    std::printf("process: %d\n", *clerk->Task(&Clerk::Process).Remote().Get());
    std::fflush(stdout);
    for (int i = 0; i < count; ++i) results.push_back(clerk->Task(&Clerk::Number).Remote(i, bytes));
  } else {
    for (int i = 0; i < count; ++i) results.push_back(ray::Task(Numbered).SetResource(resource, 1).Remote(i, bytes));
  }
  std::puts("submitted");
  std::fflush(stdout);
  while (::access(argv[3], F_OK) != 0) ::usleep(1000);
  int right = 0;
  try {
    for (int i = 0; i < count; ++i) right += *results[static_cast<size_t>(i)].Get() == Numbered(i, bytes) ? 1 : 0;
  } catch (const std::exception& e) {
    std::printf("thrown: %s\n", e.what());
  }
  std::printf("right: %d\n", right);
  return 0;
}
