// The types of the store's C++ interface: ids, the errors of the store, and the entries of List.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>

#include <plasma/export.h>
#include <plasma/status.h>

namespace plasma {

constexpr int64_t kUniqueIDSize = 20;

// 20 bytes of the user's own that name an object. Trivial: `ObjectID id;` has no value yet, `ObjectID()` is all zero.
class RAYLET_API UniqueID {
 public:
  static UniqueID from_random();
  static UniqueID from_binary(std::string_view binary);  // all zero unless binary has exactly 20 bytes

  const uint8_t* data() const { return id_; }
  uint8_t* mutable_data() { return id_; }
  std::string binary() const { return {reinterpret_cast<const char*>(id_), sizeof id_}; }
  std::string hex() const;
  size_t hash() const;
  static constexpr int64_t size() { return kUniqueIDSize; }
  bool operator==(const UniqueID&) const = default;

 private:
  uint8_t id_[kUniqueIDSize];
};
static_assert(std::is_trivial_v<UniqueID> && std::is_standard_layout_v<UniqueID>);
using ObjectID = UniqueID;

// The store's errors by Plasma's numbers. The functions are the predicates of Status.
enum class PlasmaErrorCode : int8_t {
  PlasmaObjectExists = 1,
  PlasmaObjectNotFound = 2,
  PlasmaStoreFull = 3,
  PlasmaObjectAlreadySealed = 4,
};
RAYLET_API Status MakePlasmaError(PlasmaErrorCode code, std::string message);
inline bool IsPlasmaObjectExists(const Status& status) { return status.IsPlasmaObjectExists(); }
inline bool IsPlasmaObjectNotFound(const Status& status) { return status.IsPlasmaObjectNotFound(); }
inline bool IsPlasmaObjectAlreadySealed(const Status& status) { return status.IsPlasmaObjectAlreadySealed(); }
inline bool IsPlasmaStoreFull(const Status& status) { return status.IsPlasmaStoreFull(); }

constexpr int64_t kDigestSize = sizeof(uint64_t);

enum class ObjectLocation : int32_t { Local, Remote, NotFound };

enum class ObjectState : int {
  PLASMA_CREATED = 1,
  PLASMA_SEALED = 2,
  PLASMA_EVICTED = 3,  // never: an evicted object is gone
};

namespace internal {
struct CudaIpcPlaceholder {};
}  // namespace internal

// One object in a List. The fields that name memory are there for older programs: use Get.
struct ObjectTableEntry {
  int fd = -1;
  int device_num = 0;
  int64_t map_size = 0;
  ptrdiff_t offset = 0;
  uint8_t* pointer = nullptr;
  int64_t data_size = 0;
  int64_t metadata_size = 0;
  int ref_count = 0;               // clients that use the object: its creator until its Release, and those that hold it
  int64_t create_time = 0;         // Unix time in seconds
  int64_t construct_duration = 0;  // seconds from Create to Seal; -1 before that
  ObjectState state = ObjectState::PLASMA_CREATED;
  unsigned char digest[kDigestSize] = {};  // zero: see Hash
  std::shared_ptr<internal::CudaIpcPlaceholder> ipc_handle;
};

}  // namespace plasma

template <>
struct std::hash<plasma::UniqueID> {
  size_t operator()(const plasma::UniqueID& id) const noexcept { return id.hash(); }
};

namespace plasma {
using ObjectTable = std::unordered_map<ObjectID, std::unique_ptr<ObjectTableEntry>>;
}  // namespace plasma
