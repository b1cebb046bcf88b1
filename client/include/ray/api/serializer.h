// User values to bytes and back. A value's first byte says how the rest is encoded:
//   1  msgpack                                any type that msgpack-c knows, MSGPACK_DEFINE included
//   2  dtype, 6 bytes of nothing, elements    std::vector and std::array of plain numbers: copied as a whole
//   3  characters                             std::string
// A void result is no bytes at all. Bytes may come from another process: whatever does not fit is a RayException that
// names the type.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <msgpack.hpp>

#include <ray/api/exceptions.h>
#include <ray/internal/dtype.h>
#include <ray/internal/export.h>
#include <ray/internal/runtime.h>

namespace ray {
namespace internal {

constexpr char kFormatMsgpack = 1;
constexpr char kFormatElements = 2;
constexpr char kFormatString = 3;
constexpr size_t kElementsHeaderBytes = 8;  // keeps elements aligned where the bytes are

// Kinds of msgpack extensions: the 20-byte ids of what a value refers to.
constexpr int8_t kExtReference = 'R';
constexpr int8_t kExtActor = 'H';
constexpr int8_t kExtArray = 'A';

// "cannot read a value of type T from N bytes: reason".
[[noreturn]] RAYLET_API void ThrowCannotRead(const std::type_info& type, size_t bytes, const char* reason);
[[noreturn]] RAYLET_API void ThrowCannotWrite(const std::type_info& type, const char* reason);
// The elements behind the header; throws unless they are whole elements of this dtype.
RAYLET_API std::string_view ElementsOf(std::string_view bytes, const std::type_info& type, Dtype dtype,
                                       size_t element_bytes);

// Which types skip msgpack. bool does not: not every byte is one.
template <class T>
constexpr bool kIsElement = DtypeOf<T>() != Dtype::kNone && !std::is_same_v<T, bool>;
template <class T>
struct ElementsTraits {
  static constexpr bool kIs = false;
};
template <class E, class Allocator>
struct ElementsTraits<std::vector<E, Allocator>> {
  static constexpr bool kIs = kIsElement<E>;
  using Element = E;
};
template <class E, size_t N>
struct ElementsTraits<std::array<E, N>> {
  static constexpr bool kIs = kIsElement<E>;
  using Element = E;
};

// The stream that msgpack writes into.
struct StringStream {
  std::string* out;
  void write(const char* data, size_t size) { out->append(data, size); }
};

// Parses without copying strings: the handle is valid while the bytes are. Bounded, since the bytes may claim anything.
inline msgpack::object_handle ParseMsgpack(const char* data, size_t size, size_t& offset) {
  constexpr size_t kDepthMax = 1024;
  const msgpack::unpack_limit limit(size, size, size, size, size, kDepthMax);
  bool referenced = false;
  return msgpack::unpack(
      data, size, offset, referenced, [](msgpack::type::object_type, size_t, void*) { return true; }, nullptr, limit);
}

template <class T>
T UnpackMsgpack(const char* data, size_t size) {
  static_assert(!std::is_pointer_v<T> && !std::is_same_v<T, std::string_view>,
                "pointers and views cannot travel between processes: use a value, such as std::string");
  try {
    size_t offset = 0;
    const msgpack::object_handle handle = ParseMsgpack(data, size, offset);
    if (offset != size) ThrowCannotRead(typeid(T), size, "bytes follow after the value");
    return handle.get().as<T>();
  } catch (const msgpack::type_error&) {
    ThrowCannotRead(typeid(T), size, "they hold a value of another type");
  } catch (const msgpack::unpack_error& e) {
    ThrowCannotRead(typeid(T), size, e.what());
  }
}

// Appends nothing but the value; holds of what it refers to go to the innermost PackScope.
template <class T>
std::string PackBytes(const T& value) {
  static_assert(!std::is_pointer_v<T>, "a pointer cannot travel between processes: pass the value");
  std::string bytes;
  if constexpr (ElementsTraits<T>::kIs) {
    using Element = typename ElementsTraits<T>::Element;
    const size_t size = value.size() * sizeof(Element);
    bytes.reserve(kElementsHeaderBytes + size);
    bytes.push_back(kFormatElements);
    bytes.push_back(static_cast<char>(DtypeOf<Element>()));
    bytes.append(kElementsHeaderBytes - 2, '\0');
    if (size != 0) bytes.append(reinterpret_cast<const char*>(value.data()), size);
  } else if constexpr (std::is_same_v<T, std::string>) {
    bytes.reserve(1 + value.size());
    bytes.push_back(kFormatString);
    bytes.append(value);
  } else {
    bytes.push_back(kFormatMsgpack);
    StringStream stream{&bytes};
    try {
      msgpack::pack(stream, value);
    } catch (const msgpack::container_size_overflow& e) {
      ThrowCannotWrite(typeid(T), e.what());
    }
  }
  return bytes;
}

// Within the UnpackScope of the value, if it refers to anything.
template <class T>
T UnpackBytes(std::string_view bytes) {
  if constexpr (ElementsTraits<T>::kIs) {
    using Element = typename ElementsTraits<T>::Element;
    const std::string_view elements = ElementsOf(bytes, typeid(T), DtypeOf<Element>(), sizeof(Element));
    const size_t count = elements.size() / sizeof(Element);
    if constexpr (requires(T t) { t.resize(count); }) {
      if (reinterpret_cast<uintptr_t>(elements.data()) % alignof(Element) == 0) {
        const auto* first = reinterpret_cast<const Element*>(elements.data());
        return T(first, first + count);  // no zeros first
      }
      T value(count);
      if (count != 0) std::memcpy(value.data(), elements.data(), elements.size());
      return value;
    } else {
      T value{};
      if (count != value.size()) ThrowCannotRead(typeid(T), bytes.size(), "they hold another number of elements");
      if (count != 0) std::memcpy(value.data(), elements.data(), elements.size());
      return value;
    }
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (bytes.empty() || bytes[0] != kFormatString) ThrowCannotRead(typeid(T), bytes.size(), "they hold no string");
    return std::string(bytes.substr(1));
  } else {
    if (bytes.empty() || bytes[0] != kFormatMsgpack)
      ThrowCannotRead(typeid(T), bytes.size(), "they hold a value of another type");
    return UnpackMsgpack<T>(bytes.data() + 1, bytes.size() - 1);
  }
}

template <class T>
Packed PackValue(const T& value) {
  PackScope scope;
  Packed packed;
  packed.bytes = PackBytes(value);
  packed.holds = scope.TakeHolds();
  return packed;
}

template <class T>
T UnpackValue(const PackedView& view) {
  const UnpackScope scope(view);
  return UnpackBytes<T>(view.bytes);
}

// Plain msgpack, for programs that want it.
class Serializer {
 public:
  template <class T>
  static msgpack::sbuffer Serialize(const T& value) {
    msgpack::sbuffer buffer;
    msgpack::pack(buffer, value);
    return buffer;
  }

  template <class T>
  static T Deserialize(const char* data, size_t size) {
    return UnpackMsgpack<T>(data, size);
  }
};

}  // namespace internal
}  // namespace ray
