# The steps are those of run.sh: the same package groups, the same preset, the same build script.
#
#   docker build -t syncline .
#   docker run --rm -v syncline-data:/var/lib/syncline syncline demo-data --db syncline.db --fill
#   docker run --network host -v syncline-data:/var/lib/syncline syncline
#
# The second line makes the demo's database; leave it out and mount your own config and database instead.
# Until it has authentication Syncline binds loopback addresses only, so the container shares the host's network; put
# a proxy that authenticates in front of it before publishing a port.

# A build on Oracle's Connector/C++ instead of our own MySQL session needs it installed in the build stage and its
# libmysqlcppconn8.so.2 in the last one; docs/mysql.md, "The official connector", says how to get and build it.

FROM debian:12-slim AS packages
COPY scripts/packages.sh /src/scripts/packages.sh
RUN /src/scripts/packages.sh runtime && rm -rf /var/lib/apt/lists/*

FROM packages AS build
WORKDIR /src
RUN scripts/packages.sh build
COPY . .
RUN scripts/build.sh release syncline

FROM packages
RUN useradd --system --uid 10001 --home-dir /var/lib/syncline --create-home --shell /usr/sbin/nologin syncline
COPY --from=build /src/build/release/syncline /usr/local/bin/syncline
COPY configs /etc/syncline
COPY LICENSE /usr/share/doc/syncline/LICENSE
USER syncline
WORKDIR /var/lib/syncline
VOLUME /var/lib/syncline
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=2s --start-period=10s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8081 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["syncline"]
CMD ["serve", "--config", "/etc/syncline/demo/syncline.json", "--set", "storage.sqlite.path=syncline.db"]
