// Overloaded: one visitor out of lambdas, for std::visit: each takes one of the alternatives. Any thread.
#pragma once

namespace raylet {

template <class... Each>
struct Overloaded : Each... {
  using Each::operator()...;
};
template <class... Each>
Overloaded(Each...) -> Overloaded<Each...>;

}  // namespace raylet
