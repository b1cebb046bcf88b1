// User values to bytes and back. A value's first byte says how the rest is encoded:
//   1  msgpack                                any type that msgpack-c knows, MSGPACK_DEFINE included
//   2  dtype, 6 bytes of nothing, elements    std::vector and std::array of plain numbers: copied as a whole
//   3  characters                             std::string
//   4  a value, encoded in the same way       an optional or pointer whose content is itself empty
// A void result is no bytes at all. Bytes may come from another process: whatever does not fit is a RayException that
// names the type.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <ray/api/msgpack.h>

#include <ray/api/exceptions.h>
#include <ray/api/msgpack_adaptor.h>
#include <ray/api/xlang_function.h>
#include <ray/internal/dtype.h>
#include <ray/internal/export.h>
#include <ray/internal/runtime.h>
#include <ray/internal/value_stream.h>

namespace ray {
namespace internal {

constexpr char kFormatMsgpack = 1;
constexpr char kFormatElements = 2;
constexpr char kFormatString = 3;
constexpr char kFormatPresent = 4;
constexpr size_t kElementsHeaderBytes = 8;  // keeps elements aligned where the bytes are

// Kinds of msgpack extensions: the 20-byte ids of what a value refers to.
constexpr int8_t kExtReference = 'R';
constexpr int8_t kExtActor = 'H';
constexpr int8_t kExtArray = 'A';
constexpr size_t kActorWithRetriesBytes = kIdBytes + sizeof(int32_t);  // of a handle whose calls have retries

// "cannot read a value of type T from N bytes: reason".
[[noreturn]] RAYLET_API void ThrowCannotRead(const std::type_info& type, size_t bytes, const char* reason);
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

template <class E>
std::string ElementsHeader(size_t reserve_bytes) {
  std::string header;
  header.reserve(kElementsHeaderBytes + reserve_bytes);
  header.push_back(kFormatElements);
  header.push_back(static_cast<char>(DtypeOf<E>()));
  header.append(kElementsHeaderBytes - 2, '\0');
  return header;
}

// Whether the bytes of a T are a header and then the value's own memory, as it is. `BytesIn` returns that memory.
template <class T>
constexpr bool kIsOwnBytes = ElementsTraits<T>::kIs || std::is_same_v<T, std::string>;
template <class T>
std::string_view BytesIn(const T& value) {
  return {reinterpret_cast<const char*>(value.data()), value.size() * sizeof(*value.data())};
}

template <class T>
void PackMsgpack(const T& value, std::string& bytes) {
  ValueStream stream{&bytes};
  try {
    msgpack::pack(stream, value);
  } catch (const msgpack::container_size_overflow& e) {
    ThrowCannotWrite(typeid(T), e.what());
  } catch (const msgpack::type_error&) {
    ThrowCannotWrite(typeid(T), "a part of it has a type that msgpack does not know");
  }
}

// Parses without copying strings: the handle is valid while the bytes are. Bounded, since the bytes may claim anything.
inline msgpack::object_handle ParseMsgpack(const char* data, size_t size, size_t& offset) {
  constexpr size_t kDepthMax = 1024;
  const msgpack::unpack_limit limit(size, size, size, size, size, kDepthMax);
  bool referenced = false;
  // As msgpack-c's own zone, but no larger than the parts of a short value can be.
  const size_t zone_bytes = std::min<size_t>(MSGPACK_ZONE_CHUNK_SIZE, (size - offset + 1) * sizeof(msgpack::object));
  auto zone = std::make_unique<msgpack::zone>(zone_bytes);
  const msgpack::object object = msgpack::unpack(
      *zone, data, size, offset, referenced, [](msgpack::type::object_type, size_t, void*) { return true; }, nullptr,
      limit);
  return msgpack::object_handle(object, std::move(zone));
}

// A short extension of msgpack: what references, arrays and actor handles are. Read without msgpack-c, as numbers are.
struct PackedExtension {
  std::string_view body;
  size_t bytes = 0;  // that it takes; 0: no extension of this kind, or one that is cut off
};
RAYLET_API PackedExtension ReadExtension(std::string_view bytes, int8_t kind);

template <class T>
concept kIsExtension = requires(T& value, std::string_view body) {
  { T::kExtension } -> std::convertible_to<int8_t>;
  value.UnpackExtension(body);
};

// A number that T holds exactly; throws msgpack's type_error for any other.
template <class T>
T WholeNumber(double number) {
  constexpr double kEnd = 2.0 * static_cast<double>(std::numeric_limits<T>::max() / 2 + 1);  // the first beyond T
  if (!(number >= static_cast<double>(std::numeric_limits<T>::min()) && number < kEnd) ||
      static_cast<double>(static_cast<T>(number)) != number)
    throw msgpack::type_error();
  return static_cast<T>(number);
}

// A number as it stands in msgpack bytes. Read without msgpack-c, which allocates for each value.
struct PackedNumber {
  enum class Kind : uint8_t { kNone, kUnsigned, kNegative, kReal };
  Kind kind = Kind::kNone;  // kNone: no number, or one that is cut off
  uint8_t bytes = 0;        // that it takes
  uint64_t whole = 0;       // kUnsigned, and the two's complement of kNegative
  double real = 0;          // kReal
};
RAYLET_API PackedNumber ReadNumber(std::string_view bytes);

template <class T>
T NumberAs(const PackedNumber& number) {
  if constexpr (std::is_floating_point_v<T>) {
    if (number.kind == PackedNumber::Kind::kReal) return static_cast<T>(number.real);
    return number.kind == PackedNumber::Kind::kUnsigned ? static_cast<T>(number.whole)
                                                        : static_cast<T>(static_cast<int64_t>(number.whole));
  } else {
    // A reference to a double may be the argument for an int.
    if (number.kind == PackedNumber::Kind::kReal) return WholeNumber<T>(number.real);
    const bool fits = number.kind == PackedNumber::Kind::kUnsigned
                          ? number.whole <= static_cast<uint64_t>(std::numeric_limits<T>::max())
                          : std::is_signed_v<T> && static_cast<int64_t>(number.whole) >=
                                                       static_cast<int64_t>(std::numeric_limits<T>::min());
    if (!fits) throw msgpack::type_error();
    return static_cast<T>(number.whole);
  }
}

// Reads the value at `offset`, and moves `offset` behind it.
template <class T>
T UnpackMsgpackAt(const char* data, size_t size, size_t& offset) {
  static_assert(!std::is_pointer_v<T> && !std::is_same_v<T, std::string_view>,
                "pointers and views cannot travel between processes: use a value, such as std::string");
  try {
    if constexpr (kIsElement<T>) {
      const PackedNumber number = ReadNumber({data + offset, size - offset});
      if (number.kind != PackedNumber::Kind::kNone) {
        offset += number.bytes;
        return NumberAs<T>(number);
      }
    }
    if constexpr (kIsExtension<T>) {
      const PackedExtension extension = ReadExtension({data + offset, size - offset}, T::kExtension);
      if (extension.bytes != 0) {
        offset += extension.bytes;
        T value;
        value.UnpackExtension(extension.body);
        return value;
      }
    }
    return ParseMsgpack(data, size, offset).get().template as<T>();
  } catch (const msgpack::type_error&) {
    ThrowCannotRead(typeid(T), size, "they hold a value of another type");
  } catch (const msgpack::unpack_error& e) {
    ThrowCannotRead(typeid(T), size, e.what());
  }
}

template <class T>
T UnpackMsgpack(const char* data, size_t size) {
  size_t offset = 0;
  T value = UnpackMsgpackAt<T>(data, size, offset);
  if (offset != size) ThrowCannotRead(typeid(T), size, "bytes follow after the value");
  return value;
}

// Whether these bytes, read as the content of an optional, would make it absent.
inline bool ReadsAsAbsent(std::string_view bytes) {
  return bytes.size() >= 2 && (bytes[0] == kFormatPresent || (bytes[0] == kFormatMsgpack && bytes[1] == kMsgpackNil));
}

// Nothing but the value; holds of what it refers to go to the innermost PackScope.
template <class T>
std::string PackBytes(const T& value) {
  static_assert(!std::is_pointer_v<T>, "a pointer cannot travel between processes: pass the value");
  std::string bytes;
  if constexpr (ElementsTraits<T>::kIs) {
    using Element = typename ElementsTraits<T>::Element;
    const std::string_view elements = BytesIn(value);
    bytes = ElementsHeader<Element>(elements.size());
    if (!elements.empty()) bytes.append(elements);
  } else if constexpr (std::is_same_v<T, std::string>) {
    bytes.reserve(1 + value.size());
    bytes.push_back(kFormatString);
    bytes.append(value);
  } else {
    if constexpr (NilableTraits<T>::kIs) {
      if (value) {
        bytes = PackBytes(*value);
        if (ReadsAsAbsent(bytes)) bytes.insert(bytes.begin(), kFormatPresent);
        return bytes;
      }
    }
    bytes.push_back(kFormatMsgpack);
    PackMsgpack(value, bytes);
  }
  return bytes;
}

constexpr size_t kHugePagesBytesMin = size_t{4} << 20;
// Asks the kernel for huge pages where so many bytes are about to be written for the first time. Each page of 4 KiB
// costs a fault, and together they cost more than the copy.
RAYLET_API void AdviseHugePages(void* memory, size_t bytes);

// A vector or string with these elements.
template <class T, class Element>
T CopyOf(const Element* first, size_t count) {
  if (count * sizeof(Element) < kHugePagesBytesMin) return T(first, first + count);  // no zeros first
  T value;
  value.reserve(count);
  AdviseHugePages(value.data(), count * sizeof(Element));
  value.assign(first, first + count);
  return value;
}

template <class T>
T UnpackMsgpackValue(std::string_view bytes) {
  if (bytes.empty() || bytes[0] != kFormatMsgpack)
    ThrowCannotRead(typeid(T), bytes.size(), "they hold a value of another type");
  return UnpackMsgpack<T>(bytes.data() + 1, bytes.size() - 1);
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
        return CopyOf<T>(reinterpret_cast<const Element*>(elements.data()), count);
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
    return CopyOf<std::string>(bytes.data() + 1, bytes.size() - 1);
  } else if constexpr (NilableTraits<T>::kIs) {
    using Content = typename NilableTraits<T>::Content;
    if (bytes.size() == 2 && bytes[0] == kFormatMsgpack && bytes[1] == kMsgpackNil) return T();
    if (!bytes.empty() && bytes[0] == kFormatPresent) bytes.remove_prefix(1);
    return NilableTraits<T>::Make(UnpackBytes<std::remove_const_t<Content>>(bytes));
  } else if constexpr (std::is_same_v<T, float>) {
    // Not through msgpack-c, which widens it to a double: that changes a signalling NaN.
    constexpr size_t kPrefixBytes = 2;
    uint32_t bits = 0;
    if (bytes.size() != kPrefixBytes + sizeof bits || bytes[0] != kFormatMsgpack || bytes[1] != kMsgpackFloat32)
      return UnpackMsgpackValue<T>(bytes);
    std::memcpy(&bits, bytes.data() + kPrefixBytes, sizeof bits);
    bits = __builtin_bswap32(bits);
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  } else {
    return UnpackMsgpackValue<T>(bytes);
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

// As PackValue, for a value that stays as it is during the call that takes the Packed.
template <class T>
Packed PackInPlace(const T& value) {
  if constexpr (kIsOwnBytes<T>) {
    if (BytesIn(value).size() >= kRestBytesMin) {
      Packed packed;
      if constexpr (ElementsTraits<T>::kIs)
        packed.bytes = ElementsHeader<typename ElementsTraits<T>::Element>(0);
      else
        packed.bytes.push_back(kFormatString);
      packed.rest = BytesIn(value);
      return packed;
    }
  }
  return PackValue(value);
}

// As PackValue, for a value of which nothing else is needed.
template <class T>
Packed PackMoved(T&& value) {
  if constexpr (kIsOwnBytes<T>) {
    if (BytesIn(value).size() >= kRestBytesMin) {
      const auto kept = std::make_shared<const T>(std::move(value));
      Packed packed = PackInPlace(*kept);
      packed.rest_owner = kept;
      return packed;
    }
  }
  return PackValue<T>(value);
}

template <class T>
T UnpackValue(const PackedView& view) {
  if constexpr (kIsElement<T> || kIsOwnBytes<T>) {  // it refers to nothing
    return UnpackBytes<T>(view.bytes);
  } else {
    const UnpackScope scope(view);
    return UnpackBytes<T>(view.bytes);
  }
}

// Plain msgpack, for programs that want it.
class Serializer {
 public:
  template <class T>
  static msgpack::sbuffer Serialize(const T& value) {
    std::string bytes;
    PackMsgpack(value, bytes);
    msgpack::sbuffer buffer(bytes.size());
    buffer.write(bytes.data(), bytes.size());
    return buffer;
  }
  // The bytes as they are, as msgpack's bin.
  static msgpack::sbuffer Serialize(const char* data, size_t size) {
    msgpack::sbuffer buffer;
    msgpack::packer<msgpack::sbuffer> packer(buffer);
    packer.pack_bin(static_cast<uint32_t>(size));
    packer.pack_bin_body(data, static_cast<uint32_t>(size));
    return buffer;
  }

  template <class T>
  static T Deserialize(const char* data, size_t size) {
    return UnpackMsgpack<T>(data, size);
  }
  // Behind the first `offset` bytes.
  template <class T>
  static T Deserialize(const char* data, size_t size, size_t offset) {
    CheckOffset(offset, size);
    return UnpackMsgpack<T>(data + offset, size - offset);
  }
  // At *offset, which is moved behind the value.
  template <class T>
  static T Deserialize(const char* data, size_t size, size_t* offset) {
    CheckOffset(*offset, size);
    return UnpackMsgpackAt<T>(data, size, *offset);
  }
  // The value and true; a default value and false where nil was packed.
  template <class T>
  static std::pair<bool, T> DeserializeWhenNil(const char* data, size_t size) {
    if (size != 0 && data[0] == kMsgpackNil) return {false, T{}};
    size_t offset = 0;
    return {true, UnpackMsgpackAt<T>(data, size, offset)};
  }

  // Whether these are the bytes of an error: a nil with more behind it.
  static bool HasError(const char* data, size_t size) { return size > 1 && data[0] == kMsgpackNil; }
  // Whether these are the bytes of a value for another language: a count, in a header of XLANG_HEADER_LEN.
  static bool IsXLang(const char* data, size_t size) {
    if (size < XLANG_HEADER_LEN) return false;
    size_t offset = 0;
    return ReadsAsUnsigned(data, size, offset);
  }

 private:
  static void CheckOffset(size_t offset, size_t size) {
    if (offset > size) ThrowCannotRead(typeid(offset), size, "the offset lies behind their end");
  }
  static bool ReadsAsUnsigned(const char* data, size_t size, size_t& offset) {
    try {
      return ParseMsgpack(data, size, offset).get().type == msgpack::type::POSITIVE_INTEGER;
    } catch (const msgpack::unpack_error&) {
      return false;
    }
  }
};

}  // namespace internal
}  // namespace ray
