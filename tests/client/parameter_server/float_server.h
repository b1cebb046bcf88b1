// Parameters of floats, and workers that push to them, for tests.
#pragma once

#include <cstdint>
#include <utility>

#include <ray/parameter_server.h>

namespace parameter_server_test {

using FloatServer = ray::ps::Parameters<float>;

// `to`: a server or a worker. Its parameters grow by the value, at a rate of 1.
template <class Updated>
ray::ps::Update Add(Updated& to, float value) {
  auto gradient = to.NewGradient();
  gradient.Fill(-value);
  return to.Update(std::move(gradient));
}

// What a handle knows, and a handle that knows this and nothing later: as another process has them.
template <class T>
ray::ps::internal::Server<T> InternalsOf(const ray::ps::Parameters<T>& server) {
  return *ray::ObjectRef<ray::ps::internal::Server<T>>(ray::Put(server).handle()).Get();
}
template <class T>
ray::ps::Parameters<T> HandleOf(const ray::ps::internal::Server<T>& server) {
  return *ray::ObjectRef<ray::ps::Parameters<T>>(ray::Put(server).handle()).Get();
}

// A task: returns how many of its gradients counted.
inline uint64_t AddMany(const FloatServer& server, uint64_t rank, int rounds) {
  auto worker = server.Worker(rank);
  uint64_t applied = 0;
  for (int round = 0; round < rounds; ++round) {
    worker.Get();
    applied += Add(worker, 1).applied;
  }
  return applied;
}
RAY_REMOTE(AddMany);

}  // namespace parameter_server_test
