// Gets and releases objects between two system calls that stand out in a trace: getppid. Argument: the store's socket.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "client/plasma/store_client.h"

int main(int argc, char** argv) {
  using namespace raylet;
  using namespace raylet::client;
  if (argc != 2) return 2;
  auto client = StoreClient::Connect(argv[1], "markers", Deadline::AfterMs(30'000), false);
  if (!client) return 3;
  std::vector<ObjectId> ids(100);
  for (ObjectId& id : ids) {
    id = ObjectId::FromRandom();
    const std::byte data[64] = {};
    if (!(*client)->CreateAndSeal(id, data, {}, {})) return 4;
  }
  size_t bytes = 0;
  const auto get_all = [&] {
    for (int round = 0; round < 100; ++round) {
      for (const ObjectId& id : ids) {
        const auto view = (*client)->Get(id, Deadline::Never());
        bytes += view ? view->data().size() : 0;
      }
    }
  };
  get_all();  // maps the arena
  ::syscall(SYS_getppid);
  get_all();
  ::syscall(SYS_getppid);
  return bytes == 2 * 100 * 100 * 64 ? 0 : 5;
}
