// ray::GetAsync: a value as a std::future, without a thread that waits for it.
#pragma once

#include <ray/internal/abi.h>

#include <exception>
#include <future>
#include <memory>
#include <type_traits>

#include <ray/api/object_ref.h>
#include <ray/internal/runtime.h>

namespace ray {

namespace internal {
template <class T>
using FutureValue = std::conditional_t<std::is_void_v<T>, void, std::shared_ptr<T>>;
}  // namespace internal

// A std::future<std::shared_ptr<T>>, or std::future<void>. It becomes ready with the value, or with the exception that
// Get would throw; Shutdown makes it ready, too. Values are unpacked on one thread of the library, one after the other.
template <class T>
std::future<internal::FutureValue<T>> GetAsync(const ObjectRef<T>& object) {
  auto promise = std::make_shared<std::promise<internal::FutureValue<T>>>();
  auto future = promise->get_future();
  internal::CurrentRuntime().WhenReady(internal::Require(object.handle()), [promise, object] {
    try {
      if constexpr (std::is_void_v<T>) {
        object.Get();
        promise->set_value();
      } else {
        promise->set_value(object.Get());
      }
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  });
  return future;
}

}  // namespace ray
