"""Plain answers to the blanks of `minigrad build`, as a student would write them: no kernels.

{part: {method: its lines, which take the place of the raise}}. Lines of the blank above it stay.
"""

ANSWERS = {
    "linear": {
        "forward": """
            y = x @ self.params["W"]
            return y + self.params["b"] if "b" in self.params else y
        """,
        "backward": "return dy @ self.params['W'].T",
        "_gradients": """
            self.grads["W"] = x.T @ dy
            if "b" in self.params:
                self.grads["b"] = dy.sum(axis=0)
        """,
        "jvp": """
            y_dot = 0
            if x_dot is not None:
                y_dot = x_dot @ self.params["W"]
            if W_dot is not None:
                y_dot = y_dot + x @ W_dot
            if b_dot is not None:
                y_dot = y_dot + b_dot
            return y_dot
        """,
    },
    "sgd": {
        "_update": """
            if not state:
                state.update(self._begin(param))
            grad = grad + self.weight_decay * param
            if not self.momentum:
                param -= self.lr * grad
                return
            if self.velocity == "steps":
                v = state["step"]
                v[...] = self.momentum * v - self.lr * grad
                param += self.momentum * v - self.lr * grad if self.nesterov else v
                return
            v = state["velocity"]
            v[...] = self.momentum * v + grad
            param -= self.lr * (grad + self.momentum * v if self.nesterov else v)
        """
    },
    "adam": {
        "_update": """
            m[...] = beta1 * m + (1 - beta1) * grad
            v[...] = beta2 * v + (1 - beta2) * grad**2
            m_hat = m / (1 - beta1**t)
            v_hat = v / (1 - beta2**t)
            root = xp.sqrt(v_hat + self.eps) if self.eps_inside else xp.sqrt(v_hat) + self.eps
            param -= self.lr * m_hat / root
        """
    },
    "relu": {
        "forward": """
            xp = array_module(x)
            self.cache = x > 0
            return xp.maximum(x, 0)
        """,
        "backward": "return array_module(dy).where(self.recall(), dy, 0).astype(dy.dtype)",
        "jvp": "return array_module(x_dot).where(self.recall(), x_dot, 0).astype(x_dot.dtype)",
    },
    "cross_entropy": {
        "each": """
            xp, target = checked_labels(self, logits, target)
            z = logits - logits.max(axis=1, keepdims=True)
            sums = xp.exp(z).sum(axis=1, keepdims=True)
            log_p = z - xp.log(sums)
            if self.is_plain(logits, target):
                self.cache = xp.exp(log_p), target, None
                return -log_p[xp.arange(len(z)), target]
            v, D = self.shares(logits, target)
            self.cache = xp.exp(log_p), v, D
            return -(v * log_p).sum(axis=1) * len(z) / D
        """,
        "backward": """
            if D is not None:
                return (p * v.sum(axis=1, keepdims=True) - v) / D
            N = len(p)
            dz = p.copy()
            dz[array_module(p).arange(N), v] -= 1
            return dz / N
        """,
        "each_jvp": """
            mean = (p * output_dot).sum(axis=1)
            if D is not None:
                return -(v * (output_dot - mean[:, None])).sum(axis=1) * len(p) / D
            return mean - output_dot[array_module(p).arange(len(p)), v]
        """,
    },
    "backprop": {
        "estimate": """
            value = loss.forward(model.forward(x), target)
            model.backward_params(loss.backward())
            return value
        """
    },
    "conv2d": {
        "forward": """
            xp = array_module(x)
            rows = xp.pad(x.transpose(0, 2, 3, 1), ((0, 0), *both_sides(self._edges), (0, 0)))
            self.cache = rows
            y = self._columns(rows) @ self._matrix(W)
            y = y if b is None else y + b
            return y.transpose(0, 3, 1, 2)

        def _columns(self, rows):
            KH, KW = self.kernel_size
            s, t = self.stride
            OH, OW = output_size(rows.shape[1:3], self.kernel_size, self.stride)
            xp = array_module(rows)
            return xp.concatenate(
                [
                    rows[:, k : k + s * OH : s, l : l + t * OW : t][:, :OH, :OW]
                    for k in range(KH)
                    for l in range(KW)
                ],
                axis=-1,
            )

        def _matrix(self, W):
            return W.transpose(2, 3, 1, 0).reshape(-1, self.out_channels)
        """,
        "backward": """
            KH, KW = self.kernel_size
            s, t = self.stride
            C = self.in_channels
            rows_of_dy = dy.transpose(0, 2, 3, 1)
            N, OH, OW, O = rows_of_dy.shape
            flat = rows_of_dy.reshape(-1, O)
            cols = self._columns(rows).reshape(len(flat), -1)
            dW = (cols.T @ flat).reshape(KH, KW, C, O).transpose(3, 2, 0, 1)
            self._keep(dW, flat.sum(axis=0))
            dcols = (flat @ self._matrix(W).T).reshape(N, OH, OW, KH, KW, C)
            dx = array_module(dy).zeros_like(rows)
            for k in range(KH):
                for l in range(KW):
                    dx[:, k : k + s * OH : s, l : l + t * OW : t][:, :OH, :OW] += dcols[
                        :, :, :, k, l
                    ]
            return channels_first(dx, self._edges)
        """,
        "jvp": """
            xp = array_module(rows)
            y_dot = 0
            if x_dot is not None:
                moved = xp.pad(
                    x_dot.transpose(0, 2, 3, 1), ((0, 0), *both_sides(self._edges), (0, 0))
                )
                y_dot = self._columns(moved) @ self._matrix(W)
            if W_dot is not None:
                y_dot = y_dot + self._columns(rows) @ self._matrix(W_dot)
            if b_dot is not None:
                y_dot = y_dot + b_dot
            return y_dot.transpose(0, 3, 1, 2)
        """,
    },
    "max_pool2d": {
        "forward": """
            xp = array_module(x)
            (KH, KW), (s, t), (p, q) = self.kernel_size, self.stride, self.padding
            N, C, H, W = x.shape
            wide = xp.pad(x, ((0, 0), (0, 0), (p, p), (q, q)), constant_values=-np.inf)
            OH, OW = (H + 2 * p - KH) // s + 1, (W + 2 * q - KW) // t + 1
            numbers = xp.pad(
                xp.arange(H * W).reshape(H, W), ((p, p), (q, q)), constant_values=-1
            )
            values, pixels = [], []
            for k in range(KH):
                for l in range(KW):
                    values.append(wide[:, :, k : k + s * OH : s, l : l + t * OW : t][..., :OH, :OW])
                    pixels.append(numbers[k : k + s * OH : s, l : l + t * OW : t][:OH, :OW])
            values, pixels = xp.stack(values), xp.stack(pixels)
            winner = values.argmax(axis=0)
            y = xp.take_along_axis(values, winner[None], axis=0)[0]
            pixels = xp.broadcast_to(pixels[:, None, None], values.shape)
            r = xp.take_along_axis(pixels, winner[None], axis=0)[0]
            self.cache = r, x.shape, y.shape
            return y
        """,
        "backward": """
            xp = array_module(dy)
            N, C, H, W = x_shape
            dx = xp.zeros((N * C, H * W), dy.dtype)
            images = xp.arange(N * C)[:, None]
            xp.add.at(dx, (images, r.reshape(N * C, -1)), dy.reshape(N * C, -1))
            return dx.reshape(x_shape)
        """,
        "jvp": """
            N, C, H, W = x_shape
            flat = x_dot.reshape(N, C, H * W)
            xp = array_module(x_dot)
            y_dot = xp.take_along_axis(flat, r.reshape(N, C, -1), axis=2)
            return y_dot.reshape(r.shape)
        """,
    },
    "gradient_module": {
        "predict": """
            self.dh_hat = self.trunk.forward(self._told(h, target), train)
            if self.scaled:
                self.dh_hat = self.dh_hat / len(h)
            return self.dh_hat
        """,
        "learn": """
            error = self.dh_hat - dh
            if not self.scaled:
                error = 2 * error / error.size
            dx = self.trunk.backward(error)
            if self.plane is not None:
                self.plane.backward(dx[:, -1].reshape(len(dx), -1))
            self.optimizer.step()
        """,
    },
    "batch_norm1d": {
        "forward": """
            xp = array_module(x)
            from_batch = train or not self.track_running_stats
            if from_batch:
                self._check_number(len(rows))
                mean, var = rows.mean(axis=0), rows.var(axis=0)
            else:
                mean, var = self.buffers["running_mean"], self.buffers["running_var"]
            inv_std = 1 / xp.sqrt(var + self.eps)
            x_hat = (rows - mean) * inv_std
            if train and self.track_running_stats:
                self.once("running statistics", lambda: self._move_running(mean, var, len(rows)))
            y = x_hat
            if "gamma" in self.params:
                y = self.params["gamma"] * y
            if "beta" in self.params:
                y = y + self.params["beta"]
            self.cache = x_hat, inv_std, from_batch, x.shape
            return self._images(y)

        def _project(self, v, x_hat, from_batch):
            if not from_batch:
                return v
            return v - v.mean(axis=0) - x_hat * (v * x_hat).mean(axis=0)
        """,
        "backward": """
            rows = self._rows(dy)
            sums = {"gamma": (rows * x_hat).sum(axis=0), "beta": rows.sum(axis=0)}
            self.grads = {name: sums[name] for name in self.params}
            dx = inv_std * self._project(rows, x_hat, from_batch)
            return self._images(dx if gamma is None else gamma * dx)
        """,
        "jvp": """
            y_dot = 0
            if rows_dot is not None:
                y_dot = inv_std * self._project(rows_dot, x_hat, from_batch)
                y_dot = y_dot if gamma is None else gamma * y_dot
            gamma_dot, beta_dot = moves
            if gamma_dot is not None:
                y_dot = y_dot + gamma_dot * x_hat
            if beta_dot is not None:
                y_dot = y_dot + beta_dot
            if isinstance(y_dot, np.ndarray) and y_dot.ndim == 1:
                y_dot = np.broadcast_to(y_dot, x_hat.shape).copy()
            return self._images(y_dot)
        """,
    },
    "forward_gradient": {
        "_one": """
            (v,) = sample
            output, output_dot = model.forward_jvp(x, None, v)
            value = loss.forward(output, target)
            d = self.clipped(loss.jvp(output_dot))
            return value, {name: d * array for name, array in v.items()}
        """,
        "_one_by_one": """
            value = loss.forward(model.forward(x), target)
            mean = sample.mean_along(lambda v: self.clipped(loss.jvp(model.jvp(None, v))))
            model.drop_cache()
            return value, mean
        """,
    },
}
