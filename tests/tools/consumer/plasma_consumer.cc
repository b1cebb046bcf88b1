// plasma_consumer SOCKET: puts an object and gets it back.
#include <plasma/client.h>

#include <cstdio>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  plasma::PlasmaClient client;
  plasma::Status status = client.Connect(argv[1]);
  const plasma::ObjectID id = plasma::ObjectID::from_random();
  if (status.ok()) status = client.CreateAndSeal(id, "hello", "");
  std::vector<plasma::ObjectBuffer> buffers;
  if (status.ok()) status = client.Get({id}, 1000, &buffers);
  if (!status.ok() || buffers.size() != 1 || buffers[0].data == nullptr) {
    std::fprintf(stderr, "plasma_consumer: %s\n", status.ToString().c_str());
    return 1;
  }
  const auto& data = *buffers[0].data;
  std::printf("got %s\n",
              std::string(reinterpret_cast<const char*>(data.data()), static_cast<size_t>(data.size())).c_str());
  return 0;
}
