// Put, Get, Wait: store values, fetch values, and wait until some are ready.
#pragma once

#include <chrono>
#include <concepts>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ray/api/array.h>
#include <ray/api/object_ref.h>
#include <ray/api/wait_result.h>

namespace ray {

namespace internal {

// One deadline for several waits.
class Deadline {
 public:
  explicit Deadline(int64_t timeout_ms)
      : end_(timeout_ms < 0 ? Clock::time_point::max() : Clock::now() + std::chrono::milliseconds(timeout_ms)) {}
  int64_t RemainingMs() const {  // -1: no deadline
    if (end_ == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
    return left > 0 ? left : 0;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_;
};

// Runtime::Want and its like.
RAYLET_API Hold WantHandles(const std::vector<ObjectHandle>& handles);
template <class T>
Hold WantAll(const std::vector<ObjectRef<T>>& objects) {
  if (objects.size() < 2) return nullptr;
  std::vector<ObjectHandle> handles;
  handles.reserve(objects.size());
  for (const auto& object : objects) handles.push_back(object.handle());
  return WantHandles(handles);
}
RAYLET_API Hold WantArraysOf(const std::vector<PackedView>& views);
template <class T>
inline constexpr bool kIsArray = false;
template <class T>
inline constexpr bool kIsArray<Array<T>> = true;
// Checks the count, waits, and returns which of them are ready.
RAYLET_API std::vector<bool> WaitForHandles(const std::vector<ObjectHandle>& handles, int num_objects, int timeout_ms);

}  // namespace internal

template <class T>
ObjectRef<T> Put(const T& value) {
  return ObjectRef<T>(internal::CurrentRuntime().Put(internal::PackInPlace(value)));
}
// Seals the array. A template of the array and not of its elements, so that Put<T>(value) with T named never looks at
// it.
template <class Mutable>
requires std::same_as<Mutable, MutableArray<typename Mutable::value_type>>
    ObjectRef<Array<typename Mutable::value_type>> Put(Mutable&& array) {
  return Put<Array<typename Mutable::value_type>>(std::move(array).Seal());
}

template <class T>
auto Get(const ObjectRef<T>& object) {
  return object.Get();
}
template <class T>
auto Get(const ObjectRef<T>& object, const int& timeout_ms) {
  return object.Get(timeout_ms);
}

// All of them, in order; the timeout is for all together. Nothing to return for ObjectRef<void>.
template <class T>
auto Get(const std::vector<ObjectRef<T>>& objects, const int& timeout_ms = -1) {
  const internal::Deadline deadline(timeout_ms);
  const internal::Hold wanted = internal::WantAll(objects);
  if constexpr (std::is_void_v<T>) {
    for (const auto& object : objects) object.Get(static_cast<int>(deadline.RemainingMs()));
  } else {
    std::vector<std::shared_ptr<T>> values;
    values.reserve(objects.size());
    internal::Hold arrays_wanted;
    if constexpr (internal::kIsArray<T>) {
      // First the small values that name the arrays, then these, all at once.
      std::vector<internal::PackedView> names;
      names.reserve(objects.size());
      for (const auto& object : objects)
        names.push_back(internal::CurrentRuntime().Get(internal::Require(object.handle()), deadline.RemainingMs()));
      arrays_wanted = internal::WantArraysOf(names);
    }
    for (const auto& object : objects) values.push_back(object.Get(static_cast<int>(deadline.RemainingMs())));
    return values;
  }
}
template <class T>
std::vector<std::shared_ptr<T>> Get(const std::vector<std::string>& ids, const int& timeout_ms = -1) {
  std::vector<ObjectRef<T>> objects;
  objects.reserve(ids.size());
  for (const auto& id : ids) objects.emplace_back(id);
  return Get(objects, timeout_ms);
}

// Returns once num_objects of them are ready, or at the timeout (-1: none).
template <class T>
WaitResult<T> Wait(const std::vector<ObjectRef<T>>& objects, int num_objects, int timeout_ms) {
  std::vector<internal::ObjectHandle> handles;
  handles.reserve(objects.size());
  for (const auto& object : objects) handles.push_back(object.handle());
  const std::vector<bool> ready = internal::WaitForHandles(handles, num_objects, timeout_ms);
  WaitResult<T> result;
  for (size_t i = 0; i < objects.size(); ++i) (ready[i] ? result.ready : result.unready).push_back(objects[i]);
  return result;
}

}  // namespace ray
