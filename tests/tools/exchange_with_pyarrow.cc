// exchange_with_pyarrow RAYLET STORE: makes arrays and says where they are, "TYPE SHAPE ID" on a line each, then
// "ready". Then each line of input is "TYPE FILE" with an Arrow message of a tensor. The program puts the bytes into
// the store as they are, reads them there as an array, and answers with its shape and the sum of its elements.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include <plasma/client.h>
#include <ray/api.h>

namespace {

std::string ShapeText(std::span<const size_t> sizes) {
  std::string text;
  for (const size_t size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "-" : text;
}

// Prints the id under which the array travels, the last thing in its packed form.
template <class T>
void Announce(const char* type, const ray::Array<T>& array) {
  const std::string packed = ray::internal::PackBytes(array);
  const auto id = plasma::ObjectID::from_binary(packed.substr(packed.size() - ray::internal::kIdBytes));
  std::cout << type << ' ' << ShapeText(array.shape()) << ' ' << id.hex() << '\n';
}

template <class T>
ray::Array<T> Counting(std::vector<size_t> sizes) {
  ray::MutableArray<T> array{std::span<const size_t>(sizes)};
  for (size_t i = 0; i < array.size(); ++i) array[i] = static_cast<T>(i % 100);
  return std::move(array).Seal();
}

template <class T>
std::string Read(plasma::PlasmaClient& store, const std::string& bytes) {
  const auto id = plasma::ObjectID::from_random();
  if (const auto put = store.CreateAndSeal(id, bytes, ""); !put.ok()) return put.ToString();
  ray::Array<T> array;
  array.UnpackExtension(id.binary());
  const auto message = array.tensor_message();
  if (bytes.compare(0, bytes.size(), reinterpret_cast<const char*>(message.data()), message.size()) != 0)
    return "the store has other bytes";
  return ShapeText(array.shape()) + ' ' + std::to_string(std::accumulate(array.begin(), array.end(), 0.0));
}

std::string ReadAs(const std::string& type, plasma::PlasmaClient& store, const std::string& bytes) {
  if (type == "int8") return Read<int8_t>(store, bytes);
  if (type == "int16") return Read<int16_t>(store, bytes);
  if (type == "int32") return Read<int32_t>(store, bytes);
  if (type == "int64") return Read<int64_t>(store, bytes);
  if (type == "uint8") return Read<uint8_t>(store, bytes);
  if (type == "uint16") return Read<uint16_t>(store, bytes);
  if (type == "uint32") return Read<uint32_t>(store, bytes);
  if (type == "uint64") return Read<uint64_t>(store, bytes);
  if (type == "float32") return Read<float>(store, bytes);
  if (type == "float64") return Read<double>(store, bytes);
  return "no array has elements of " + type;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: exchange_with_pyarrow RAYLET_SOCKET STORE_SOCKET\n");
    return 2;
  }
  ray::RayConfig config;
  config.address = argv[1];
  ray::Init(config);
  plasma::PlasmaClient store;
  if (const auto connected = store.Connect(argv[2]); !connected.ok()) {
    std::fprintf(stderr, "exchange_with_pyarrow: %s\n", connected.ToString().c_str());
    return 1;
  }
  const auto int8s = Counting<int8_t>({7});
  const auto int16s = Counting<int16_t>({3, 5});
  const auto int32s = Counting<int32_t>({1, 1, 9});
  const auto int64s = Counting<int64_t>({2, 3, 4});
  const auto uint8s = Counting<uint8_t>({64, 64, 3});
  const auto uint16s = Counting<uint16_t>({2, 2, 2, 2, 2, 2, 2, 2});
  const auto uint32s = Counting<uint32_t>({0, 6});
  const auto uint64s = Counting<uint64_t>({1});
  const auto floats = Counting<float>({1000, 1000});
  const auto doubles = Counting<double>({});
  const auto bools = ray::Array<bool>::CopyOf({{true, false, true, true}});
  Announce("int8", int8s);
  Announce("int16", int16s);
  Announce("int32", int32s);
  Announce("int64", int64s);
  Announce("uint8", uint8s);
  Announce("uint16", uint16s);
  Announce("uint32", uint32s);
  Announce("uint64", uint64s);
  Announce("float32", floats);
  Announce("float64", doubles);
  Announce("bool", bools);
  std::cout << "ready" << std::endl;
  for (std::string type, path; std::cin >> type >> path;) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    try {
      std::cout << ReadAs(type, store, bytes) << std::endl;
    } catch (const ray::internal::RayException& e) {
      std::cout << "refused: " << e.what() << std::endl;
    }
  }
  ray::Shutdown();
}
